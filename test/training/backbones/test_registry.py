"""The registry, its table in docs/backbones.md, and the example there."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.backbones import ARCHITECTURES
from training.model import SiLK, parameter_count

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "backbones.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", DOCS, re.DOTALL))
PAPER = {
    **{"vggnp-4": ("VGGnp-4", 370), "vggnp-3": ("VGGnp-3", 330), "vggnp-2": ("VGGnp-2", 268)},
    **{"vggnp-1": ("VGGnp-1", 90), "vggnp-mu": ("VGGnp-µ", 23)},
    **{"vggp-4": ("padding, Tab. 13", "-"), "resfpn": ("FPN", 298), "unet": ("UNet", 198)},
}


def gigaflops(module: torch.nn.Module) -> float:
    """Of one 640x480 image, a multiplication and an addition counted as two."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        module(torch.zeros(1, 1, 480, 640))
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_in_the_docs_is_what_the_code_does(name: str) -> None:
    with torch.device("meta"):
        network = SiLK(name).eval()
    row, flops = PAPER[name]
    cells = [f"`{name}`", row]
    cells += [f"{parameter_count(module):,}" for module in (network, network.backbone)]
    cells += [f"{gigaflops(module):.1f}" for module in (network, network.backbone)]
    cells += [str(cell) for cell in (flops, network.border, network.stride, network.architecture.descriptor_dim)]
    assert f"| {' | '.join(cells)} |" in DOCS.splitlines()


@pytest.mark.parametrize("name", [name for name, (_, flops) in PAPER.items() if flops != "-"])
def test_the_papers_gigaflops_are_those_of_the_backbone(name: str) -> None:
    with torch.device("meta"):
        assert gigaflops(SiLK(name).eval().backbone) == pytest.approx(PAPER[name][1], rel=0.015)


def test_the_docs_example_of_a_new_backbone_works(monkeypatch: pytest.MonkeyPatch, check_coordinates) -> None:
    """Each block goes where its first line says; what is a line of the registry is added to it."""
    module_path, registry_path, test_path = BLOCKS
    module = ModuleType(module_path.removesuffix(".py").replace("/", "."))
    module.__package__ = "training.backbones"
    exec(BLOCKS[module_path], vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    registry = vars(sys.modules["training.backbones"]).copy()
    assert Path(registry_path) == Path(registry["__file__"]).relative_to(Path(__file__).resolve().parents[3])
    import_line, _, entry = BLOCKS[registry_path].strip().partition("\n")
    exec(import_line, registry)
    for name, architecture in eval(f"{{{entry}}}", registry).items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)

    assert test_path.startswith("test/training/backbones/test_")
    tests: dict = {}
    exec(BLOCKS[test_path], tests)
    (test,) = [value for name, value in tests.items() if name.startswith("test_")]
    assert list(inspect.signature(test).parameters) == ["check_coordinates"]
    test(check_coordinates)
