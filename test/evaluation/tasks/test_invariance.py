from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Keypoints
from silk_ros.evaluation.methods.load import load_method
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.invariance import (
    evaluate_rotation,
    evaluate_scale,
    photographs,
    reach,
    rotated_views,
    scaled_views,
)
from silk_ros.evaluation.tasks.registry import merged
from silk_ros.geometry.homography import warp_points


class Upright:
    """Matches each pixel of a coarse grid with the same one of the other image: right only if nothing moves."""

    name = "upright"

    def extract(self, image: np.ndarray) -> Keypoints:
        x, y = np.meshgrid(np.arange(4, image.shape[1], 8), np.arange(4, image.shape[0], 8))
        points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        return Keypoints(points, np.ones(len(points), np.float32), np.ones((len(points), 1), np.float32))

    def match(self, a: Keypoints, b: Keypoints, ratio: float | None, double_softmax: float | None) -> np.ndarray:
        return np.arange(min(len(a), len(b)), dtype=np.int32)[:, None].repeat(2, axis=1)


@pytest.fixture
def folder(photo: np.ndarray, tmp_path: Path) -> Path:
    """A folder with one photograph."""
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    return tmp_path


@pytest.mark.parametrize("crop", [(240, 320), (239, 320), (240, 319)])
def test_quarter_turns_move_whole_pixels(photo: np.ndarray, crop: tuple[int, int]) -> None:
    first, views = rotated_views(np.ascontiguousarray(photo[: crop[0], : crop[1]]), [0, 90, 180])
    for turns, (view, homography) in zip((0, 1, 2), views):
        np.testing.assert_array_equal(view, np.rot90(first, turns))
        x, y = 12, 30
        there = warp_points(homography, np.array([[x, y]])).round().astype(int)[0]
        assert view[there[1], there[0]] == first[y, x]


def test_turned_views_show_nothing_from_beyond_the_image() -> None:
    _, views = rotated_views(np.full((101, 140), 100, np.uint8), range(0, 180, 7))
    for view, _ in views:
        assert view.min() == view.max() == 100


def test_views_of_a_blob_agree_with_their_homography() -> None:
    y, x = np.mgrid[:200, :240]
    image = (255 * np.exp(-((x - 130.3) ** 2 + (y - 85.6) ** 2) / 50)).astype(np.uint8)

    def centre(picture: np.ndarray) -> np.ndarray:
        moments = cv2.moments(picture)
        return np.array([[moments["m10"], moments["m01"]]]) / moments["m00"]

    for first, views in (rotated_views(image, [15, 77]), scaled_views(image, [0.5, 0.8, 1, 1.7])):
        for view, homography in views:
            np.testing.assert_allclose(centre(view), warp_points(homography, centre(first)), atol=0.05)


def test_no_scaled_view_is_enlarged(photo: np.ndarray) -> None:
    first, views = scaled_views(photo, [0.5, 1, 2])
    shrunk, same, grown = (view for view, _ in views)
    assert (first.shape, shrunk.shape, grown.shape) == ((120, 160), (60, 80), (240, 320))
    np.testing.assert_array_equal(grown, photo)
    np.testing.assert_array_equal(same, first)


def test_reach_ends_where_half_is_lost_for_the_first_time() -> None:
    shares = np.array([0.9, 0.3, 0.4, 0.8, 0.5, 0.39, 0.8])
    assert reach([1, 2, 3, 4, 5, 6, 7], shares, unchanged=4) == (3, 5)
    assert reach([1, 2, 3], np.zeros(3), unchanged=2) == (2, 2)


def test_a_method_that_ignores_rotation_does_not_reach_far(photo: np.ndarray, folder: Path) -> None:
    methods = load_method("sift", 300), Upright()
    result = merged([evaluate_rotation(each, folder, Options(pictures=1), angles=[0, 20, 90]) for each in methods])
    assert result.task == "rotation" and result.settings["shorter_edge"] == 240
    assert result.overall["SIFT"]["widest angle"] == 90
    assert result.overall["upright"]["widest angle"] == 0
    curves = {curve.title: curve.lines for curve in result.curves}
    angles, shares = curves["MMA@1 over rotation"]["upright"]
    assert angles == [0, 20, 90] and shares[0] == 1 and shares[1] < 0.1
    count = len(Upright().extract(rotated_views(photo, [])[0]))
    assert curves["correct matches over rotation"]["upright"][1][0] == count
    assert curves["repeatability@1 over rotation"]["upright"][1][0] == 1
    assert result.overall["upright"]["MMA@1"] == pytest.approx(np.mean(shares))
    assert [picture.caption.split(":")[0] for picture in result.pictures] == ["SIFT, 20°", "upright, 20°"]


def test_the_unchanged_view_is_always_measured(folder: Path) -> None:
    result = evaluate_scale(Upright(), folder, Options(shorter_edge=120, pictures=0), scales=[0.5, 2])
    row = result.overall["upright"]
    assert (row["smallest scale"], row["largest scale"]) == (1, 1)
    assert result.curves[0].lines["upright"][0] == [0.5, 1, 2] and result.curves[0].lines["upright"][1][1] == 1


def test_photographs_are_those_of_the_sequences_not_skipped(tmp_path: Path) -> None:
    for level, name in enumerate(("boat", "wall")):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((48, 64), level, np.uint8))
        np.savetxt(tmp_path / name / "H_1_2", np.eye(3))
    (image,) = photographs(tmp_path, Options(), skip=["boat"])
    assert image.shape == (480, 640) and (image == 1).all()
    with pytest.raises(DatasetError, match="no sequence 'boat' to skip"):
        photographs(tmp_path / "wall", Options(), skip=["boat"])
