from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor
from silk_ros.backends import model
from silk_ros.evaluation.pairs import Pair, PairSource
from silk_ros.evaluation.quantization_loss import ConfidenceInterval, QuantizationReport, compare
from silk_ros.types import Features

Image = NDArray[np.uint8]


def moved(photo: Image) -> Pair:
    first, second = (np.ascontiguousarray(image) for image in (photo[:-8, :-16], photo[8:, 16:]))
    return Pair(first, second, np.array([[1, 0, -16], [0, 1, -8], [0, 0, 1.0]]))


class Damaged:
    """The float network with another descriptor for a share of the keypoints."""

    def __init__(self, extractor: Extractor, share: float) -> None:
        self._extractor, self._share, self._rng = extractor, share, np.random.default_rng(0)

    def __call__(self, image: Image) -> Features:
        features = self._extractor(image)
        descriptors = features.descriptors.copy()
        wrong = self._rng.random(len(descriptors)) < self._share
        noise = self._rng.normal(size=(wrong.sum(), descriptors.shape[1])).astype(np.float32)
        descriptors[wrong] = noise / np.linalg.norm(noise, axis=1, keepdims=True)
        return Features(features.keypoints, features.scores, descriptors)


def test_a_network_compared_with_itself_keeps_all(frames: Path) -> None:
    extractor = Extractor.load(max_keypoints=200, precision="fp32")
    report = compare(extractor, extractor, PairSource.open(str(frames)))
    assert (report.topk_overlap.mean, report.match_precision) == (1.0, report.float_match_precision)
    assert report.descriptor_cosine == pytest.approx(1) and np.isnan(report.mma_1)
    assert report.keeps_enough and not report.lost_too_much
    assert (report.precision_loss.low, report.precision_loss.high) == (0, 0)


def test_homographies_judge_where_there_are_any(photo: Image) -> None:
    extractor = Extractor.load(max_keypoints=500, precision="fp32")
    assert compare(extractor, extractor, [[moved(photo)]]).mma_1 > 0.5


def test_a_damaged_network_lost_too_much(frames: Path) -> None:
    extractor = Extractor.load(max_keypoints=500, precision="fp32")
    report = compare(extractor, Damaged(extractor, 0.2), PairSource.open(str(frames)))
    assert report.lost_too_much and not report.keeps_enough
    assert report.precision_loss.low > 0.01 and "no longer right" in str(report)


def test_both_networks_are_judged_by_one_geometry(frames: Path) -> None:
    """A network whose matches are all wrong finds a geometry of its own among them; it does not count."""
    extractor = Extractor.load(max_keypoints=500, precision="fp32")
    report = compare(extractor, Damaged(extractor, 1.0), PairSource.open(str(frames)))
    assert report.float_match_precision > 0.8 and report.match_precision < 0.1


def test_pairs_are_read_until_they_tell(photo: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = Extractor.load(max_keypoints=100, precision="fp32")
    read = []

    def rounds() -> Iterator[list[Pair]]:
        for size in (1, 1, 2, 4):
            read.append(size)
            yield [moved(photo)] * size

    assert compare(extractor, extractor, rounds()).keeps_enough
    assert read == [1, 1], "one pair has no interval, two equal ones tell"
    monkeypatch.setattr(QuantizationReport, "keeps_enough", False)
    assert compare(extractor, extractor, rounds()).pairs == 8


def report_of(losses: list[float]) -> QuantizationReport:
    interval = ConfidenceInterval.of(np.array(losses))
    return QuantizationReport(1.0, np.nan, np.nan, 0.5, 0.5, ConfidenceInterval(0.95, 0.01, len(losses)), interval)


def test_an_interval_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = 0.01 + 0.02 * rng.normal(size=(4000, 20))
    intervals = [ConfidenceInterval.of(sample) for sample in samples]
    within = np.mean([interval.low <= 0.01 <= interval.high for interval in intervals])
    assert within == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("losses", "keeps", "lost"),
    [
        ([0.004, 0.006] * 10, True, False),
        ([0.014, 0.016] * 10, False, True),
        ([-0.06, 0.07] * 10, False, False),  # a mean of .005 that says nothing
        ([-0.05, 0.08] * 10, False, False),  # nor does one of .015
        ([0.001], False, False),
    ],
)
def test_a_difference_counts_only_beyond_its_uncertainty(losses: list[float], keeps: bool, lost: bool) -> None:
    report = report_of(losses)
    assert (report.keeps_enough, report.lost_too_much) == (keeps, lost)


def test_the_number_of_pairs_that_would_tell_is_estimated() -> None:
    few = [-0.016, 0.024] * 10
    assert not report_of(few).keeps_enough
    needed = int(report_of(few).pairs_to_decide()) + 1
    assert 20 < needed < 60 and report_of(list(np.resize(few, needed + needed % 2))).keeps_enough
    at_the_limit = [model.MAX_PRECISION_LOSS - 0.01, model.MAX_PRECISION_LOSS + 0.01]
    assert report_of(at_the_limit).pairs_to_decide() > 1e6
