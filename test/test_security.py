"""Nothing that is read from a file or from the graph is run as code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNNING_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}
RUNNING_CALLS = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system"}


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in RUNNING_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNNING_MODULES:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in RUNNING_CALLS:
                yield ast.unparse(node.func)
            yield from (f"{word.arg}" for word in node.keywords if word.arg in ("allow_pickle", "shell"))


@pytest.mark.parametrize("folder", ["silk_ros", "training", "launch"])
def test_files_are_data(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    found = {str(path.relative_to(ROOT)): list(offences(path.read_text(encoding="utf-8"))) for path in files}
    assert files and {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source", ["import pickle", "from joblib import load", "torch.load('x')", "np.load('x', allow_pickle=True)"]
)
def test_offences_are_found(source: str) -> None:
    assert list(offences(source))
