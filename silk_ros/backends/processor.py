"""The processor that this process runs on: its name, its instruction sets, and how many of its cores may be used."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path

LIMIT = "ONEDNN_MAX_CPU_ISA"  # limits oneDNN, and with it OpenVINO and torch, to older instruction sets

_CPU_INFO = Path("/proc/cpuinfo")
# Limits, by oneDNN's names, that hide AVX2 and AVX-512.
_BELOW_AVX2 = ("SSE41", "AVX")
_BELOW_AVX512 = (*_BELOW_AVX2, "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
# Groups of instruction sets, of each the first that is there: what to call it, the kernel's flag, what hides it.
_GROUPS: tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...] = (
    (
        ("AVX-512", "avx512bw", _BELOW_AVX512),
        ("AVX2", "avx2", _BELOW_AVX2),
        ("AVX", "avx", ("SSE41",)),
        ("SSE4.1", "sse4_1", ()),
    ),
    (
        ("VNNI", "avx512_vnni", (*_BELOW_AVX512, "AVX512_CORE")),
        ("VNNI", "avx_vnni", (*_BELOW_AVX2, "AVX2", "AVX512_CORE")),
    ),
    # Beside AVX2, bf16 is converted only, not computed in.
    (("bf16", "avx512_bf16", (*_BELOW_AVX512, "AVX512_CORE", "AVX512_CORE_VNNI")),),
    (
        (
            "AMX",
            "amx_tile",
            (*_BELOW_AVX512, "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", "AVX512_CORE_FP16"),
        ),
    ),
    (("NEON", "asimd", ()),),
    (("i8mm", "i8mm", ()),),
    (("bf16", "bf16", ()),),
)


@cache
def _cpu_info() -> str:
    return _CPU_INFO.read_text() if _CPU_INFO.is_file() else ""


def name() -> str:
    """What the processor calls itself, such as "AMD EPYC"."""
    found = re.search(r"model name\s*: (.+)", _cpu_info())
    return found[1] if found else platform.processor() or platform.machine()


def instruction_sets() -> str:
    """What matters to a network, such as "AVX-512, VNNI, bf16", as far as ONEDNN_MAX_CPU_ISA allows it."""
    found = re.search(r"^(?:flags|Features)\s*: (.+)", _cpu_info(), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    limit = os.environ.get(LIMIT, "").upper()
    present: list[str] = []
    for group in _GROUPS:
        present += [label for label, flag, hidden_by in group if flag in flags and limit not in hidden_by][:1]
    return ", ".join(present) or platform.machine()


def computes_bf16() -> bool:
    """Whether the processor multiplies in bfloat16, as far as ONEDNN_MAX_CPU_ISA allows it."""
    return "bf16" in instruction_sets().split(", ")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """The processor in a line, such as "AMD EPYC, 2 cores, AVX-512, VNNI, bf16"."""
    count = cores()
    limited = f" (limited by {LIMIT})" if os.environ.get(LIMIT) else ""
    return f"{name()}, {count} core{'s' if count > 1 else ''}, {instruction_sets()}{limited}"
