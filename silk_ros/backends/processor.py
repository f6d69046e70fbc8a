"""The processor that this process runs on: its name, its instruction sets, and how many of its cores may be used."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path

LIMIT = "ONEDNN_MAX_CPU_ISA"  # limits oneDNN, and with it OpenVINO and torch, to older instruction sets

_CPU_INFO = Path("/proc/cpuinfo")
# oneDNN's names of the limits, each with all before it.
_LEVELS = (
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
    "AVX512_CORE_BF16",
    "AVX512_CORE_FP16",
    "AVX512_CORE_AMX",
)
# Groups of instruction sets, of each the first that is there: what to call it, the kernel's flag, the least limit.
_GROUPS = (
    (("AVX-512", "avx512bw", "AVX512_CORE"), ("AVX2", "avx2", "AVX2"), ("AVX", "avx", "AVX"), ("SSE4.1", "sse4_1", "")),
    (("VNNI", "avx512_vnni", "AVX512_CORE_VNNI"), ("VNNI", "avx_vnni", "AVX2_VNNI")),
    (("bf16", "avx512_bf16", "AVX512_CORE_BF16"),),  # beside AVX2, bf16 is converted only, not computed in
    (("AMX", "amx_tile", "AVX512_CORE_AMX"),),
    (("NEON", "asimd", ""),),
    (("i8mm", "i8mm", ""),),
    (("bf16", "bf16", ""),),
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
    allowed = _LEVELS[: _LEVELS.index(limit) + 1] if limit in _LEVELS else _LEVELS
    present = []
    for group in _GROUPS:
        present += [label for label, flag, least in group if flag in flags and (not least or least in allowed)][:1]
    return ", ".join(present) or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """The processor in a line, such as "AMD EPYC, 2 cores, AVX-512, VNNI, bf16"."""
    count = cores()
    limited = f" (limited by {LIMIT})" if os.environ.get(LIMIT) else ""
    return f"{name()}, {count} core{'s' if count > 1 else ''}, {instruction_sets()}{limited}"
