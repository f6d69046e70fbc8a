import platform

import pytest
import torch

from training import run as module
from training.config import DEFAULT_CONFIG, TrainConfig, load_config
from training.run import computes_in_bf16, resolve_bf16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def automatic() -> TrainConfig:
    return load_config(DEFAULT_CONFIG)


def has(instructions: str, monkeypatch: pytest.MonkeyPatch, onednn: bool = True) -> None:
    """The processor has these instruction sets; oneDNN says that it supports bfloat16, or not."""
    monkeypatch.setattr(module.processor, "instruction_sets", lambda: instructions)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn, raising=False)


@pytest.fixture
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A GPU that computes in bfloat16, or that only emulates it."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    native: bool = request.param
    return native


# --- what a device does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ("AVX-512, VNNI, bf16", True),
        ("AVX-512, VNNI, bf16, AMX", True),
        ("AVX-512, VNNI", False),
        ("AVX2", False),
        ("AVX2, VNNI", False),
        ("NEON, i8mm, bf16", True),
        ("NEON", False),
    ],
)
def test_a_processor_computes_in_bfloat16_with_instructions_for_products(
    instructions: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(instructions, monkeypatch)
    assert computes_in_bf16(CPU) is expected


def test_a_torch_that_does_not_use_the_instructions_does_not_compute_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has("AVX-512, VNNI, bf16", monkeypatch, onednn=False)
    assert computes_in_bf16(CPU) is False


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the limit's names are those of x86")
@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE", "avx512_core_vnni"])
def test_a_limit_of_the_instruction_set_counts(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert computes_in_bf16(CPU) is False


@pytest.mark.parametrize("gpu", [True, False], indirect=True)
def test_a_gpu_that_emulates_bfloat16_does_not_compute_in_it(gpu: bool) -> None:
    assert computes_in_bf16(GPU) is gpu


# --- what a training takes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("instructions", ["AVX-512, VNNI, bf16", "AVX2"])
def test_what_the_user_says_is_taken_without_a_word(
    automatic: TrainConfig, instructions: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(instructions, monkeypatch)
    assert resolve_bf16(automatic.changed(bf16=bf16), CPU, None) == (bf16, "")


@pytest.mark.parametrize(
    ("instructions", "bf16", "line"),
    [
        (
            "AVX2",
            False,
            "bf16 auto: false, this processor (AVX2) does not compute in bfloat16; bf16=true overrides",
        ),
        (
            "AVX-512, VNNI, bf16",
            True,
            "bf16 auto: true, this processor (AVX-512, VNNI, bf16) computes in bfloat16; bf16=false overrides",
        ),
    ],
)
def test_auto_takes_what_the_processor_computes_in_and_says_so(
    automatic: TrainConfig, instructions: str, bf16: bool, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(instructions, monkeypatch)
    assert resolve_bf16(automatic, CPU, None) == (bf16, line)


@pytest.mark.parametrize("gpu", [True], indirect=True)
def test_auto_names_the_gpu(automatic: TrainConfig, gpu: bool) -> None:
    bf16, line = resolve_bf16(automatic, GPU, None)
    assert bf16 is gpu
    assert "this GPU (Some GPU) computes in bfloat16" in line


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("instructions", ["AVX-512, VNNI, bf16", "AVX2"])
def test_what_a_training_began_in_stays_and_a_difference_is_said(
    automatic: TrainConfig, instructions: str, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(instructions, monkeypatch)
    bf16, line = resolve_bf16(automatic, CPU, {"bf16": stored})
    assert bf16 is stored
    assert line.startswith(f"bf16 auto: {str(stored).lower()}, as this training began")
    differs = stored != ("bf16" in instructions)
    assert ("a new one would take" in line) == (f"this processor ({instructions})" in line) == differs


def test_an_unresolved_setting_is_not_taken_for_true(automatic: TrainConfig) -> None:
    with pytest.raises(ValueError, match="bf16 is auto: resolve it"):
        _ = automatic.in_bf16
