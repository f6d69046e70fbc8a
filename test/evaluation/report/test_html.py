import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from silk_ros.evaluation.report import html
from silk_ros.evaluation.report.plots import Plot
from silk_ros.evaluation.report.report import Report, task_outcome
from silk_ros.evaluation.results import Failure, Picture, Table, TaskResult
from silk_ros.evaluation.run_info import RunInfo

NASTY = '<script>alert("x")</script>&'
GREY = np.full((40, 60, 3), 128, np.uint8)


def page(path: Path, table: Table, pictures: list[Picture] | None = None, failures: list[Failure] | None = None) -> str:
    result = TaskResult(
        "homography",
        table,
        groups={"view": table},
        settings={"pairs": 18, "skipped": [], "top_k": 0.123456, "units": {"error": "cm"}},
        pictures=pictures or [],
    )
    run = RunInfo(
        command="evaluate homography data",
        created="2030-01-02",
        silk_ros="0.1.0",
        machine={"processor": "CPU"},
        versions={"numpy": "2"},
        models={"SiLK": {"file": "silk.onnx", "sha256": "abc123"}},
    )
    report = Report(
        run,
        outcomes=[task_outcome("data/hpatches", result)],
        failures=failures or [],
    )
    html.write_html(report, [[Plot("MMA", b"light", b"dark")]], path)
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Checks that elements are closed in order; collects every attribute that could load something."""

    VOID = ("meta", "img", "source", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_with_everything_in_it(tmp_path: Path) -> None:
    text = page(
        tmp_path / "report.html", {"SiLK": {"MMA@1": 0.25}, "SIFT": {"MMA@1": 0.5}}, [Picture("two views", GREY)]
    )
    links = Tags(text).links
    assert links and all(link.startswith(("data:image/", "#")) for link in links)
    assert not re.search(r"https?://|@import|url\(", text)
    for expected in ("prefers-color-scheme: dark", "<b>0.500</b>", "two views", "evaluate homography data", "abc123"):
        assert expected in text, expected
    assert "<span>pairs: 18</span><span>top k: 0.1235</span><span>units: error cm</span>" in text


def test_names_are_escaped_wherever_they_stand(tmp_path: Path) -> None:
    table = {NASTY: {NASTY: 1.0}}
    text = page(tmp_path / "report.html", table, [Picture(NASTY, GREY)], [Failure(NASTY, NASTY, NASTY, NASTY)])
    Tags(text)
    assert "<script" not in text and "&lt;script&gt;" in text


def test_failures_are_listed(tmp_path: Path) -> None:
    text = page(
        tmp_path / "report.html", {"SiLK": {"MMA@1": 0.25}}, failures=[Failure("odometry", "kitti", "ORB", "lost")]
    )
    assert "Not evaluated" in text and "odometry ORB on kitti: lost" in text


def test_many_pictures_are_made_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 600, 3)).astype(np.uint8)
    table, pictures = {"SiLK": {"MMA@1": 0.25}}, [Picture("noise", noise)] * 2
    large = len(page(tmp_path / "large.html", table, pictures))
    monkeypatch.setattr(html, "PICTURE_BYTES", 30_000)
    small = len(page(tmp_path / "small.html", table, pictures))
    assert large > 60_000 and small < 30_000 * 4 / 3 + 20_000 < large
