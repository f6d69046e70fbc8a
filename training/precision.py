"""The setting `bf16: auto`: bfloat16 if the device has instructions for it, decided once for each training.

A device without such instructions emulates bfloat16 by conversions to and from float32: on a processor with AVX2 that
takes eight to ten times as long as float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from silk_ros.backends import processor

from .config import AUTO, TrainConfig


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for convolutions and matrix products in bfloat16.

    On a CPU, oneDNN computes for PyTorch: its limit ONEDNN_MAX_CPU_ISA is taken into account.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # oneDNN alone also reports support for AVX-512 without bf16.
    return (
        processor.computes_bf16()
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def resolve_bf16(config: TrainConfig, device: torch.device, stored: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether to train in bfloat16, and one line with the reason; the line is empty unless `bf16` is auto.

    stored: configuration in the checkpoint that a training continues from, None for a new one. A continued training
    keeps its precision on any device, so that the computation is the same.
    """
    if config.bf16 != AUTO:
        return config.in_bf16, ""
    own = computes_in_bf16(device)
    reason = f"{_described(device)} {'computes' if own else 'does not compute'} in bfloat16"
    if stored is None:
        return own, f"bf16 auto: {str(own).lower()}, {reason}; bf16={str(not own).lower()} overrides"
    begun = bool(stored["bf16"])
    line = f"bf16 auto: {str(begun).lower()}, as this training began"
    return begun, line if begun == own else f"{line}; a new one would take {str(own).lower()}: {reason}"


def _described(device: torch.device) -> str:
    if device.type == "cuda":
        return f"this GPU ({torch.cuda.get_device_name(device)})"
    return f"this processor ({processor.instruction_sets()})"
