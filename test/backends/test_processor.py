from __future__ import annotations

import os

import pytest

from silk_ros.backends import processor

X86 = "processor\t: 0\nmodel name\t: Fast CPU 3\nflags\t\t: fpu sse4_1 avx avx2 {}\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processor.LIMIT, raising=False)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (X86.format(""), "AVX2"),
        (X86.format("avx_vnni"), "AVX2, VNNI"),
        (X86.format("avx_vnni avx_ne_convert"), "AVX2, VNNI"),
        (X86.format("avx512f avx512bw"), "AVX-512"),
        (X86.format("avx512bw avx512_vnni"), "AVX-512, VNNI"),
        (X86.format("avx512bw avx512_vnni avx512_bf16 amx_tile"), "AVX-512, VNNI, bf16, AMX"),
        (ARM, "NEON, i8mm, bf16"),
    ],
)
def test_instruction_sets_are_named_by_what_the_kernel_says(
    monkeypatch: pytest.MonkeyPatch, info: str, expected: str
) -> None:
    monkeypatch.setattr(processor, "_cpu_info", lambda: info)
    assert processor.instruction_sets() == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("SSE41", "SSE4.1"),
        ("AVX2", "AVX2"),
        ("AVX2_VNNI", "AVX2, VNNI"),
        ("AVX512_CORE", "AVX-512"),
        ("avx512_core_vnni", "AVX-512, VNNI"),
        ("AVX512_CORE_BF16", "AVX-512, VNNI, bf16"),
        ("AVX2_VNNI_2", "AVX2, VNNI"),
        ("DEFAULT", "AVX-512, VNNI, bf16, AMX"),
    ],
)
def test_a_limit_hides_what_is_above_it(monkeypatch: pytest.MonkeyPatch, limit: str, expected: str) -> None:
    everything = X86.format("avx_vnni avx512bw avx512_vnni avx512_bf16 amx_tile")
    monkeypatch.setattr(processor, "_cpu_info", lambda: everything)
    monkeypatch.setenv(processor.LIMIT, limit)
    assert processor.instruction_sets() == expected
    assert processor.describe().endswith(f"{expected} (limited by {processor.LIMIT})")


def test_a_processor_is_described_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_cpu_info", lambda: X86.format(""))
    count = len(os.sched_getaffinity(0))
    assert processor.describe() == f"Fast CPU 3, {count} core{'s' if count > 1 else ''}, AVX2"


def test_without_the_kernels_word_the_architecture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_cpu_info", lambda: "")
    assert processor.name() and processor.instruction_sets()
