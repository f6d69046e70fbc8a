"""The processor of this machine: its name, its instruction sets, and the cores that this process may use."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path

LIMIT = "ONEDNN_MAX_CPU_ISA"  # limits oneDNN, hence OpenVINO and torch, to older instruction sets

_CPU_INFO = Path("/proc/cpuinfo")
# The limits, by oneDNN's names, that hide an instruction set.
_BELOW_AVX2 = ("SSE41", "AVX")
_BELOW_AVX512 = (*_BELOW_AVX2, "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
_BELOW_VNNI = (*_BELOW_AVX512, "AVX512_CORE")
_BELOW_BF16 = (*_BELOW_VNNI, "AVX512_CORE_VNNI")
_BELOW_AMX = (*_BELOW_BF16, "AVX512_CORE_BF16", "AVX512_CORE_FP16")
# Groups of instruction sets: (label, flag of the kernel, limits that hide it). The first present of a group is listed.
_GROUPS: tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...] = (
    (
        ("AVX-512", "avx512bw", _BELOW_AVX512),
        ("AVX2", "avx2", _BELOW_AVX2),
        ("AVX", "avx", ("SSE41",)),
        ("SSE4.1", "sse4_1", ()),
    ),
    (("VNNI", "avx512_vnni", _BELOW_VNNI), ("VNNI", "avx_vnni", (*_BELOW_AVX2, "AVX2", "AVX512_CORE"))),
    (("bf16", "avx512_bf16", _BELOW_BF16),),  # processors with AVX2 only convert bf16 and do not compute in it
    (("AMX", "amx_tile", _BELOW_AMX),),
    (("NEON", "asimd", ()),),
    (("i8mm", "i8mm", ()),),
    (("bf16", "bf16", ()),),
)


@cache
def _cpu_info() -> str:
    return _CPU_INFO.read_text() if _CPU_INFO.is_file() else ""


def name() -> str:
    """The processor's own name, such as "AMD EPYC"."""
    found = re.search(r"model name\s*: (.+)", _cpu_info())
    return found[1] if found else platform.processor() or platform.machine()


def instruction_sets() -> str:
    """The instruction sets that matter to a network, within ONEDNN_MAX_CPU_ISA, such as "AVX-512, VNNI, bf16"."""
    found = re.search(r"^(?:flags|Features)\s*: (.+)", _cpu_info(), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    limit = os.environ.get(LIMIT, "").upper()
    present: list[str] = []
    for group in _GROUPS:
        present += [label for label, flag, hidden_by in group if flag in flags and limit not in hidden_by][:1]
    return ", ".join(present) or platform.machine()


def computes_bf16() -> bool:
    """Whether the processor multiplies in bfloat16, within ONEDNN_MAX_CPU_ISA."""
    return "bf16" in instruction_sets().split(", ")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """One line about the processor, such as "AMD EPYC, 2 cores, AVX-512, VNNI, bf16"."""
    count = cores()
    limited = f" (limited by {LIMIT})" if os.environ.get(LIMIT) else ""
    return f"{name()}, {count} core{'s' if count > 1 else ''}, {instruction_sets()}{limited}"
