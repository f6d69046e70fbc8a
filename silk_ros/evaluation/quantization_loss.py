"""What a quantised network keeps of the float network, and whether that is enough, judged on pairs of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from tqdm import tqdm

from ..backends import model
from ..backends.parity import common_keypoints
from ..extractor import Extractor
from ..geometry.epipolar import estimated_inliers
from ..geometry.homography import reprojection_error
from ..types import Features
from .metrics import share_within
from .pairs import CLOSE, NEAR, Pair, matched_points

CONFIDENCE = 0.90  # of an interval: each of its bounds holds with 95 %


@dataclass(frozen=True)
class ConfidenceInterval:
    """The mean of a sample, and half of the width of its confidence interval; infinite for fewer than two values."""

    mean: float
    half: float
    count: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> ConfidenceInterval:
        """By Student's t distribution, for independent values (N,)."""
        count = len(values)
        if count < 2:
            return cls(float(values.mean()), np.inf, count)
        quantile = stdtrit(count - 1, (1 + CONFIDENCE) / 2)
        return cls(float(values.mean()), float(quantile * values.std(ddof=1) / count**0.5), count)

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def count_beside(self, limit: float) -> float:
        """The number of values, with the same mean and spread, whose interval is beside a limit; inf at the limit."""
        return self.count * (self.half / abs(limit - self.mean)) ** 2 if self.mean != limit else np.inf


@dataclass(frozen=True)
class QuantizationReport:
    """What a quantised network keeps of the float one, over pairs of images.

    descriptor_cosine: between the descriptors of the keypoints that both networks find, mean.
    mma_1:             share of the matches within a pixel, of pairs with a homography, mean.
    match_precision:   share of the matches that are right: within 3 px of the homography, or epipolar inliers; mean.
    topk_overlap:      share of the best keypoints that both networks find.
    precision_loss:    the float network's share of right matches less the quantised one's.
    """

    descriptor_cosine: float
    mma_1: float
    float_mma_1: float
    match_precision: float
    float_match_precision: float
    topk_overlap: ConfidenceInterval
    precision_loss: ConfidenceInterval

    @property
    def pairs(self) -> int:
        return self.precision_loss.count

    def figures(self) -> dict[str, float]:
        """The values of the file's metadata, by name."""
        values = {
            "topk_overlap": self.topk_overlap.mean,
            "descriptor_cosine": self.descriptor_cosine,
            "mma_1": self.mma_1,
            "float_mma_1": self.float_mma_1,
            "match_precision": self.match_precision,
            "float_match_precision": self.float_match_precision,
            "precision_loss_low": self.precision_loss.low,
            "precision_loss_high": self.precision_loss.high,
        }
        return {name: round(value, 4) for name, value in values.items()} | {"pairs": self.pairs}

    @property
    def keeps_enough(self) -> bool:
        """Whether the whole intervals are within the limits."""
        return bool(
            _rounded(self.topk_overlap.low) >= model.MIN_OVERLAP
            and _rounded(self.precision_loss.high) <= model.MAX_PRECISION_LOSS
        )

    @property
    def lost_too_much(self) -> bool:
        """Whether a whole interval is beyond its limit. With neither this nor `keeps_enough`, the pairs are too few."""
        return bool(
            _rounded(self.topk_overlap.high) < model.MIN_OVERLAP
            or _rounded(self.precision_loss.low) > model.MAX_PRECISION_LOSS
        )

    def pairs_to_decide(self) -> float:
        """About the number of pairs that would be enough to tell; infinite at a limit."""
        overlap, loss = self.topk_overlap, self.precision_loss
        return max(overlap.count_beside(model.MIN_OVERLAP), loss.count_beside(model.MAX_PRECISION_LOSS))

    def __str__(self) -> str:
        overlap, loss = self.topk_overlap, self.precision_loss
        return (
            f"{overlap.mean:.1%} ± {100 * overlap.half:.1f} of the best keypoints are those of the float network (at "
            f"least {model.MIN_OVERLAP:.0%}), and {100 * loss.mean:.2f} ± {100 * loss.half:.2f} % of the matches are "
            f"no longer right (at most {100 * model.MAX_PRECISION_LOSS:g} %)"
        )


def _rounded(value: float) -> float:
    """Without the noise of floating-point arithmetic at a limit."""
    return round(value, 6)


def compare(reference: Extractor, quantised: Extractor, rounds: Iterable[Sequence[Pair]]) -> QuantizationReport:
    """Compare a quantised network with the float one, with another round of pairs as long as they are too few to tell.

    The right matches of a pair without a homography are those that agree with one epipolar geometry, estimated from
    the matches of both networks: two estimates would differ by chance, by more than the networks do.
    """
    rows: list[tuple[float, ...]] = []
    for pairs in rounds:
        for pair in tqdm(pairs, desc="judging", unit="pair"):
            before, after = ((network(pair.first), network(pair.second)) for network in (reference, quantised))
            rows.append((*_kept(before[1], after[1]), *_right(pair, before, after)))
        report = _summary(np.array(rows))
        if report.keeps_enough or report.lost_too_much:
            break
    return report


def _summary(rows: NDArray[np.float64]) -> QuantizationReport:
    overlap, cosine, float_mma, mma, float_precision, precision = rows.T
    return QuantizationReport(
        descriptor_cosine=float(cosine.mean()),
        mma_1=float(mma.mean()),
        float_mma_1=float(float_mma.mean()),
        match_precision=float(precision.mean()),
        float_match_precision=float(float_precision.mean()),
        topk_overlap=ConfidenceInterval.of(overlap),
        precision_loss=ConfidenceInterval.of(float_precision - precision),
    )


def _kept(before: Features, after: Features) -> tuple[float, float]:
    """The share of the keypoints that are still found, and the mean cosine of their descriptors."""
    here, there = common_keypoints(before.keypoints, after.keypoints)
    cosine = np.einsum("nd,nd->n", before.descriptors[here], after.descriptors[there])
    return len(here) / max(1, len(before)), float(cosine.mean()) if len(here) else 0.0


def _right(pair: Pair, *found: tuple[Features, Features]) -> tuple[float, ...]:
    """For each network, the share of the matches within a pixel (NaN without a homography); then the shares right."""
    points = [matched_points(a, b) for a, b in found]
    if pair.homography is not None:
        errors = [reprojection_error(pair.homography, *each) for each in points]
        return tuple(share_within(each, threshold) for threshold in (CLOSE, NEAR) for each in errors)
    firsts, seconds = zip(*points)
    inliers = estimated_inliers(np.concatenate(firsts), np.concatenate(seconds), CLOSE)
    parts = np.split(inliers, np.cumsum([len(first) for first in firsts])[:-1])
    return *(np.nan for _ in parts), *(float(part.mean()) if len(part) else 0.0 for part in parts)
