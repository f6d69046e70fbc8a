from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from vocabulary_readers import FBoWBlocks

from silk_ros.backends.quantization import set_metadata
from silk_ros.binary import METADATA_KEY, BinaryCode, binary_code
from silk_ros.commands.vocabulary import main
from silk_ros.paths import default_model
from silk_ros.vocabulary_files import read_vocabulary, vocabulary_path

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_vocabulary_becomes_the_file_of_each_slam(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = vocabulary_path(default_model())
    assert main(["--output", str(tmp_path / "silk.txt")]) == 0
    assert (tmp_path / "silk.txt").read_bytes() == gzip.decompress(shipped.read_bytes())
    assert main(["--output", str(tmp_path / "silk.fbow")]) == 0
    assert FBoWBlocks.read(tmp_path / "silk.fbow").branching == read_vocabulary(shipped).branching
    assert main(["--output", str(tmp_path / "silk.txt.gz")]) == 0
    text, fbow, packed = capsys.readouterr().out.splitlines()
    assert text.startswith(f"wrote {tmp_path / 'silk.txt'} with ") and "words; next: start ORB-SLAM with" in text
    assert "words; next: keep it beside its model; `" in packed
    assert packed.endswith("vocabulary --output silk.txt` writes ORB-SLAM's text")
    assert fbow.endswith(f"words; next: start stella_vslam with -v {tmp_path / 'silk.fbow'}")


def test_a_vocabulary_elsewhere_can_be_named(tmp_path: Path) -> None:
    source = shutil.copy(vocabulary_path(default_model()), tmp_path / "voc.txt.gz")
    model = shutil.copy(default_model(), tmp_path / "own.onnx")
    assert main([str(model), "--from", str(source), "--output", str(tmp_path / "own.txt")]) == 0


def test_the_vocabulary_of_another_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, network, code = tmp_path / "own.onnx", onnx.load(default_model()), binary_code(default_model())
    entry = BinaryCode(code.projection, code.thresholds + 1).to_metadata()
    assert METADATA_KEY in entry
    set_metadata(network, entry)
    onnx.save(network, model)
    shutil.copy(vocabulary_path(default_model()), vocabulary_path(model))
    assert main([str(model), "--output", str(tmp_path / "own.txt")]) == 1
    assert f"another binary code than that of '{model}': train it again" in capsys.readouterr().err
    assert not (tmp_path / "own.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "voc.yml"], "no suffix of a vocabulary: .txt and .txt.gz for ORB-SLAM, .fbow for FBoW"),
        (["--output", "nowhere/voc.txt"], "no folder 'nowhere'"),
        (["nothing.onnx", "--output", "voc.txt"], "no model file at 'nothing.onnx'"),
        (["--from", "setup.py", "--output", "voc.txt"], "cannot read the vocabulary 'setup.py'"),
    ],
)
def test_bad_input_is_one_line_that_names_the_fix(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("vocabulary: ") and message in line


def test_a_model_without_a_code_or_a_vocabulary_is_told_what_to_train_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = onnx.load(default_model())
    shutil.copy(default_model(), tmp_path / "coded.onnx")
    del network.metadata_props[:]
    onnx.save(network, tmp_path / "plain.onnx")
    for name, message in (("plain", "has no binary code: train one"), ("coded", "coded_vocabulary.txt.gz': train one")):
        assert main([str(tmp_path / f"{name}.onnx"), "--output", str(tmp_path / "voc.txt")]) == 1
        assert message in capsys.readouterr().err


def test_a_robot_needs_no_pytorch(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from silk_ros.commands.vocabulary import main\n"
        f"sys.exit(main(['--output', {str(tmp_path / 'silk.txt')!r}]))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
