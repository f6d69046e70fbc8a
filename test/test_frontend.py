from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, Features, Matches
from silk_ros.backends import Extracted
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.camera import Camera
from silk_ros.geometry.stereo_geometry import StereoGeometry
from silk_ros.prediction import last_motion
from silk_ros.step import Step
from silk_ros.stereo import RightImage, StereoRules
from silk_ros.verification import Verification

Image = NDArray[np.uint8]
SECOND = 10**9


@pytest.fixture
def front_end() -> FrontEnd:
    return FrontEnd(Extractor.load(max_keypoints=400))


def view(photo: Image, shift: int = 0) -> Image:
    """What a camera sees that moves right and down over the photo."""
    return photo[shift : shift + 120, shift : shift + 160]


def test_the_first_frame_has_nothing_to_match(front_end: FrontEnd, photo: Image) -> None:
    step = front_end.process(view(photo), 5)
    assert (len(step.frame.features), step.previous, len(step.matches), step.restarted) == (400, None, 0, "")
    assert step.frame.stamp == 5
    assert len(np.unique(step.frame.tracks.ids)) == 400


def test_the_second_frame_matches_the_first(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    second = front_end.process(view(photo, 3), SECOND)
    assert second.previous is first.frame
    now, before = second.matches.indices.T
    motion = second.frame.features.keypoints[now] - first.frame.features.keypoints[before]
    np.testing.assert_array_equal(np.median(motion, axis=0), [-3, -3])


def test_track_ids_follow_the_matches(front_end: FrontEnd, photo: Image) -> None:
    steps = [front_end.process(view(photo, shift), shift) for shift in range(4)]
    for before, after in itertools.pairwise(steps):
        rows, previous_rows = after.matches.indices.T
        np.testing.assert_array_equal(after.frame.tracks.ids[rows], before.frame.tracks.ids[previous_rows])
        fresh = np.delete(after.frame.tracks.ids, rows)
        assert fresh.min() > before.frame.tracks.ids.max()
    assert len(np.intersect1d(steps[0].frame.tracks.ids, steps[-1].frame.tracks.ids)) > 50


def test_another_size_starts_afresh_and_says_so(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    step = front_end.process(view(photo)[:100], SECOND)
    assert step.restarted == "image size changed from 160x120 to 160x100"
    assert (step.previous, len(step.matches)) == (None, 0)
    assert step.frame.tracks.ids.min() > first.frame.tracks.ids.max()


def test_an_older_stamp_starts_afresh_and_says_so(front_end: FrontEnd, photo: Image) -> None:
    front_end.process(view(photo), 5 * SECOND)
    step = front_end.process(view(photo, 1), 3 * SECOND)
    assert (step.previous, len(step.matches), step.restarted) == (None, 0, "stamp went back by 2.000 s")
    after = front_end.process(view(photo, 2), 4 * SECOND)
    assert after.previous is step.frame
    assert (len(after.matches) > 0, after.restarted) == (True, "")


def test_the_same_stamp_goes_on(front_end: FrontEnd, photo: Image) -> None:
    front_end.process(view(photo), 0)
    step = front_end.process(view(photo, 1), 0)
    assert (len(step.matches) > 0, step.restarted) == (True, "")


def test_reset_forgets_the_previous_frame(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    front_end.reset()
    step = front_end.process(view(photo), 1)
    assert (step.previous, len(step.matches), step.restarted) == (None, 0, "")
    assert not np.isin(step.frame.tracks.ids, first.frame.tracks.ids).any()


@pytest.mark.parametrize("bad", [np.zeros((5, 5), np.uint8), np.zeros((120, 160)), np.zeros((120, 160, 3), np.uint8)])
def test_a_bad_image_keeps_the_previous_frame(front_end: FrontEnd, photo: Image, bad: Image) -> None:
    first = front_end.process(view(photo), 0)
    with pytest.raises((TypeError, ValueError)):
        front_end.process(bad, 1)
    assert front_end.process(view(photo, 1), 2).previous is first.frame


def test_filters_reach_the_matcher(photo: Image) -> None:
    extractor = Extractor.load(max_keypoints=400)
    counts = []
    for filters in ({}, {"ratio": 0.5}, {"min_similarity": 0.99}, {"double_softmax": 0.3}):
        front_end = FrontEnd(extractor, FrontEndOptions(**filters))
        front_end.process(view(photo), 0)
        counts.append(len(front_end.process(255 - view(photo, 1), 1).matches))
    assert max(counts[1:]) < counts[0]


@pytest.mark.parametrize("filters", [{"ratio": 2.0}, {"min_similarity": -2.0}, {"ratio": 0.5, "double_softmax": 0.5}])
def test_useless_filters_are_refused_at_the_start(extractor: Extractor, filters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"ratio|min_similarity"):
        FrontEnd(extractor, FrontEndOptions(**filters))


def test_frames_of_nothing_go_through(front_end: FrontEnd, photo: Image) -> None:
    for stamp, image in enumerate([np.zeros((120, 160), np.uint8), view(photo), np.full((120, 160), 255, np.uint8)]):
        assert len(front_end.process(image, stamp).frame.features) == 400


def test_with_a_radius_keypoints_are_expected_to_move_on(photo: Image) -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(radius=4 / 160))
    everywhere = FrontEnd(Extractor.load(max_keypoints=400))
    for shift in (0, 1, 5, 10):  # 5 px an image in the end: beyond the radius, but not of what is expected
        step, plain = (each.process(view(photo, shift), shift) for each in (front_end, everywhere))
    now, before = step.matches.indices.T
    assert step.previous is not None
    motion = step.frame.features.keypoints[now] - step.previous.features.keypoints[before]
    assert np.linalg.norm(motion - [-5, -5], axis=1).max() <= 8
    assert (motion == [-5, -5]).all(axis=1).sum() >= 0.95 * _right(plain)


def _right(step: Step) -> int:
    assert step.previous is not None
    now, before = step.matches.indices.T
    motion = step.frame.features.keypoints[now] - step.previous.features.keypoints[before]
    return int((motion == [-5, -5]).all(axis=1).sum())


def test_motion_of_keypoints() -> None:
    def features(points: list[tuple[float, float]]) -> Features:
        return Features(np.array(points), np.zeros(len(points)), np.ones((len(points), 1)))

    now, before = features([(10, 0), (20, 0), (30, 0), (99, 0), (50, 50)]), features([(8, 0), (17, 0), (28, 0), (0, 0)])
    matches = Matches(np.array([[0, 0], [1, 1], [2, 2], [3, 3]]), np.ones(4))
    # Motions 2, 3, 2 and 99: the median is 2.5; the last is no motion of this scene, the fifth has none.
    motion = last_motion(now, before, matches, radius=5)
    np.testing.assert_allclose(motion, [(2, 0), (3, 0), (2, 0), (2.5, 0), (2.5, 0)])
    np.testing.assert_allclose(last_motion(now, before, Matches.empty(), 5), np.zeros((5, 2)))


@pytest.mark.parametrize(
    "path",
    [
        [(0, 0), (12, 1), (24, 2), (36, 3)],  # fast from the start
        [(0, 0), (5, 1), (10, 2), (25, 5), (30, 6)],  # two frames are missing
        [(0, 0), (5, 1), (10, 2), (30, 3), (35, 4), (40, 5)],  # a jump
    ],
    ids=["fast", "gap", "jump"],
)
def test_a_radius_finds_the_motion_again(photo: Image, path: list[tuple[int, int]]) -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(radius=4 / 160))
    everywhere = FrontEnd(Extractor.load(max_keypoints=400))
    for shift, stamp in path:
        step, plain = (each.process(view(photo, shift), stamp * SECOND) for each in (front_end, everywhere))
    assert step.previous is not None and plain.previous is not None
    right = []
    for each in (step, plain):
        now, before = each.matches.indices.T
        motion = each.frame.features.keypoints[now] - each.previous.features.keypoints[before]  # type: ignore[union-attr]
        shift = path[-1][0] - path[-2][0]
        right.append(int((motion == [-shift, -shift]).all(axis=1).sum()))
    assert right[0] >= 0.95 * right[1] > 0


# --- verification, bridges and what is handed out ---------------------------------------------------------------------


class Scripted:
    """A backend that finds given keypoints, each with a descriptor of its own: what matches what is known."""

    name, device, precision, reason = "scripted", "CPU", "fp32", ""
    model, border = Path("scripted.onnx"), 3

    def __init__(self, *frames: NDArray[np.float32]) -> None:
        self._frames = iter(frames)
        self.max_keypoints = self.descriptor_dim = len(frames[0])

    def extract(self, image: Image) -> Extracted:
        scores = np.linspace(1, 0.5, self.max_keypoints, dtype=np.float32)
        return next(self._frames), scores, np.eye(self.max_keypoints, dtype=np.float32)


def seen_twice(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Where a camera that moves sideways sees 300 points, before and after, and which of them stood still.

    A fifth of them moved by themselves, up or down: off their epipolar lines, which are horizontal.
    """
    before = rng.uniform([20, 20], [140, 100], (300, 2))
    after = before - np.stack([rng.uniform(2, 12, 300), np.zeros(300)], axis=1)
    still = np.arange(300) % 5 > 0
    after[~still, 1] += rng.choice([-1, 1], 60) * rng.uniform(8, 16, 60)
    return before.astype(np.float32), after.astype(np.float32), still


@pytest.mark.parametrize("outliers", ["drop", "flag"])
def test_outliers_are_dropped_or_flagged(photo: Image, outliers: str) -> None:
    before, after, still = seen_twice(np.random.default_rng(0))
    verification = Verification("fundamental", 1.0, outliers)
    plain, front_end = (
        FrontEnd(Extractor(Scripted(before, after)), FrontEndOptions(verification=each, refinement="none"))
        for each in (Verification(), verification)
    )
    for index in range(2):
        expected, step = (each.process(view(photo), index) for each in (plain, front_end))
    assert len(expected.matches) == 300 and expected.inliers is None and np.isnan(expected.verified)
    assert step.inliers is not None and len(step.inliers) == len(step.matches)
    assert step.verified == pytest.approx(still.mean(), abs=0.02)
    found = np.zeros(300, bool)
    found[step.matches.indices[step.inliers, 0]] = True
    assert (found == still).mean() > 0.98
    if outliers == "flag":
        assert len(step.matches) == 300 and step.inliers.mean() == step.verified
    else:
        assert step.inliers.all() and len(step.matches) == round(step.verified * 300)


@pytest.mark.parametrize("filters", [{"min_similarity": 0.9}, {"stereo": StereoRules(min_similarity=0.9)}])
def test_refined_matches_keep_what_the_filter_let_in(photo: Image, filters: dict[str, Any]) -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(**filters))
    for shift in range(4):
        left, right = pair(photo, shift)
        step = front_end.process(left, shift, right=RightImage(right))
    assert step.stereo is not None and step.matches.refined is not None and step.matches.refined.any()
    assert (step.stereo if "stereo" in filters else step).matches.similarity.min() >= 0.9


@pytest.mark.parametrize("bridge", [False, True])
def test_a_keypoint_whose_match_was_dropped_is_where_the_network_found_it(photo: Image, bridge: bool) -> None:
    options = FrontEndOptions(verification=Verification("fundamental", 0.3), bridge=bridge)
    front_end, dropped = FrontEnd(Extractor.load(max_keypoints=400), options), 0
    for index, shift in enumerate((0, 1, 3, 4)):
        image = view(photo, shift).copy()
        image[30:60, 40:90] = photo[60:90, 40 + 2 * shift : 90 + 2 * shift]  # moves by itself
        step = front_end.process(image, index)
        dropped += round(len(step.matches) * (1 / step.verified - 1)) if step.verified > 0 else 0
        moved = step.frame.offsets.any(axis=1)
        assert (step.frame.tracks.ages[moved] > 1).all()
    assert moved.any() and dropped > 0


def test_an_unexpected_error_starts_new_tracks(photo: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(verification=Verification("fundamental")))
    front_end.process(view(photo), 0)
    with monkeypatch.context() as patch:
        patch.setattr(Verification, "inliers_of", Mock(side_effect=cv2.error("no solution")))
        with pytest.raises(cv2.error):
            front_end.process(view(photo, 2)[:, :], 1)
    assert front_end.process(view(photo, 4), 2).previous is None
    assert len(front_end.process(view(photo, 6), 3).matches) > 50


def test_a_track_lives_through_a_frame_that_did_not_see_it(photo: Image) -> None:
    steps = {}
    for bridge in (False, True):
        front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(min_similarity=0.9, bridge=bridge))
        covered = view(photo, 4).copy()
        covered[:, 80:] = 128  # something passes by
        frames = [view(photo), view(photo, 2), covered, view(photo, 6)]
        steps[bridge] = [front_end.process(frame, index) for index, frame in enumerate(frames)]
    for bridge, (_, first, _, last) in steps.items():
        _, rows, first_rows = np.intersect1d(last.frame.tracks.ids, first.frame.tracks.ids, return_indices=True)
        right = last.frame.features.keypoints[rows][:, 0] > 90
        assert bool(right.sum() > 30) == bridge
        if bridge:
            motion = last.frame.features.keypoints[rows] - first.frame.features.keypoints[first_rows]
            np.testing.assert_allclose(np.median(motion[right], axis=0), -4, atol=0.02)
            assert set(last.frame.tracks.ages[rows][right].tolist()) <= {3, 4}
        assert len(np.unique(last.frame.tracks.ids)) == len(last.frame.features)


def test_the_best_are_handed_out_and_matches_fit_them(photo: Image) -> None:
    plain = FrontEnd(Extractor.load(max_keypoints=400))
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(max_published=100))
    before = None
    for index in range(4):
        everything = plain.process(view(photo, 2 * index), index)
        step = front_end.process(view(photo, 2 * index), index)
        assert len(step.frame.features) == 100 and (np.diff(step.frame.features.scores) <= 0).all()
        assert set(step.frame.tracks.ids.tolist()) <= set(everything.frame.tracks.ids.tolist())
        if before is not None:
            np.testing.assert_array_equal(step.previous.features.keypoints, before.frame.features.keypoints)
            rows, previous_rows = step.matches.indices.T
            assert len(rows) > 60, "matched keypoints come first"
            np.testing.assert_array_equal(step.frame.tracks.ids[rows], before.frame.tracks.ids[previous_rows])
            known = dict(
                zip(map(tuple, everything.frame.features.keypoints.tolist()), range(len(everything.frame.features)))
            )
            own = {known[tuple(point)] for point in step.frame.features.keypoints[rows].tolist()}
            assert own <= set(everything.matches.indices[:, 0].tolist())
        before = step


def test_with_few_keypoints_all_are_handed_out(photo: Image) -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=50), FrontEndOptions(max_published=400))
    steps = [front_end.process(view(photo, shift), shift) for shift in (0, 2)]
    assert [len(step.frame.features) for step in steps] == [50, 50]


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="max_published must be 0"):
        FrontEnd(Extractor.load(max_keypoints=50), FrontEndOptions(max_published=-1))


def test_other_filters_from_the_next_image_on_keep_the_tracks(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    front_end.change(FrontEndOptions(min_similarity=0.9999))
    second = front_end.process(view(photo, 3), SECOND)
    assert set(first.frame.tracks.ids) & set(second.frame.tracks.ids)
    assert (second.matches.similarity >= 0.9999).all()


def test_another_extractor_starts_new_tracks(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    front_end.change(FrontEndOptions(), Extractor.load(max_keypoints=100))
    second = front_end.process(view(photo), SECOND)
    assert (len(second.frame.features), second.previous) == (100, None)
    assert not set(first.frame.tracks.ids) & set(second.frame.tracks.ids)


def test_number_of_published_keypoints_can_change_between_images(front_end: FrontEnd, photo: Image) -> None:
    front_end.process(view(photo), 0)
    front_end.change(FrontEndOptions(max_published=50))
    steps = [front_end.process(view(photo, 3 * index), index * SECOND) for index in (1, 2)]
    front_end.change(FrontEndOptions())
    steps += [front_end.process(view(photo, 3 * index), index * SECOND) for index in (3, 4)]
    assert [len(step.frame.features) for step in steps] == [50, 50, 400, 400]
    assert [len(step.matches) > 0 for step in steps] == [False, True, False, True]
    for step in steps:  # rows of both frames as they were handed out
        assert step.previous is None or step.matches.indices[:, 1].max() < len(step.previous.features)


def test_mask_leaves_keypoints_out_and_tracks_go_on_beside_it(front_end: FrontEnd, photo: Image) -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[:, 80:] = 1
    front_end.process(view(photo), 0)
    step = front_end.process(view(photo, 3), SECOND, mask=mask)
    assert 0 < len(step.frame.features) < 400 and step.frame.features.keypoints[:, 0].min() >= 79.5
    assert len(step.matches) > 0.5 * len(step.frame.features)
    with pytest.raises(ValueError, match="mask"):
        front_end.process(view(photo), 2 * SECOND, mask=mask[:-1])


# --- stereo -----------------------------------------------------------------------------------------------------------

DISPARITY = 6


def pair(photo: Image, shift: int = 0) -> tuple[Image, Image]:
    """What two cameras side by side see of a plane, at the distance that gives DISPARITY pixels."""
    return view(photo, shift), photo[shift : shift + 120, shift + DISPARITY : shift + DISPARITY + 160]


def stereo_cameras() -> StereoGeometry:
    matrix = np.array([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]])
    projection = np.column_stack([matrix, [-20.0, 0, 0]])  # 10 cm apart
    left, right = (Camera(160, 120, matrix, np.zeros(5), projection=each) for each in (np.zeros((3, 4)), projection))
    return StereoGeometry(left, right)


def test_right_image_is_matched_after_the_previous_one(front_end: FrontEnd, photo: Image) -> None:
    geometry = stereo_cameras()
    for index in range(2):
        left, right = pair(photo, 3 * index)
        step = front_end.process(left, index, right=RightImage(right, geometry))
    assert len(step.matches) > 100 and step.stereo is not None and step.right_problem == ""
    matches = step.stereo.matches
    assert np.median(matches.disparity) == pytest.approx(DISPARITY, abs=1e-3)
    depths = matches.points[np.abs(matches.disparity - DISPARITY) < 0.005, 2]
    np.testing.assert_allclose(depths, 200 * 0.1 / DISPARITY, rtol=1e-3)
    assert step.frame.rays is not None and step.stereo.rays is not None  # of the geometry's cameras
    assert step.frame.rays.shape == (400, 3) and step.stereo.rays.shape == (len(step.stereo.right), 3)


def test_pair_without_a_calibration_has_disparities_but_no_points(front_end: FrontEnd, photo: Image) -> None:
    left, right = pair(photo)
    step = front_end.process(left, 0, right=RightImage(right))
    assert step.stereo is not None and np.median(step.stereo.matches.disparity) == DISPARITY
    assert np.isnan(step.stereo.matches.points).all() and step.stereo.rays is None and step.frame.rays is None


def test_right_image_that_cannot_be_used_costs_the_stereo_matches_only(front_end: FrontEnd, photo: Image) -> None:
    for index in range(2):
        step = front_end.process(view(photo, index), index, right=RightImage(np.zeros((4, 4), np.uint8)))
    assert step.stereo is None and "smaller than the receptive field" in step.right_problem
    assert len(step.matches) > 100


def test_right_image_that_fails_keeps_the_previous_frame(front_end: FrontEnd, photo: Image) -> None:
    left, right = pair(photo)
    first = front_end.process(left, 0, right=RightImage(right))
    with pytest.raises(TypeError):
        front_end.process(view(photo, 1), 1, right=RightImage(right.astype(np.float32)))  # type: ignore[arg-type]
    step = front_end.process(view(photo, 2), 2, right=RightImage(right))
    assert step.previous is first.frame
    rows, previous_rows = step.matches.indices.T
    np.testing.assert_array_equal(step.frame.tracks.ids[rows], first.frame.tracks.ids[previous_rows])


def test_a_calibration_that_comes_later_serves_the_essential_matrix_at_once(
    photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[bool] = []

    def inliers(self: Verification, points: NDArray, points_prev: NDArray, rays: object, camera: object) -> NDArray:
        used.append(rays is not None and camera is not None)
        return np.ones(len(points), bool)

    monkeypatch.setattr(Verification, "inliers", inliers)
    front_end = FrontEnd(Extractor.load(max_keypoints=400), FrontEndOptions(verification=Verification("essential")))
    front_end.process(view(photo), 0)
    front_end.process(view(photo, 1), 1, stereo_cameras().left)
    assert used == [True]


def test_stereo_matches_are_rows_of_what_is_handed_out(photo: Image) -> None:
    options = FrontEndOptions(max_published=50, stereo=StereoRules(min_similarity=0.99))
    front_end = FrontEnd(Extractor.load(max_keypoints=400), options)
    left, right = pair(photo)
    step = front_end.process(left, 0, right=RightImage(right))
    assert step.stereo is not None and len(step.frame.features) == 50
    assert 0 < len(step.stereo.matches) <= 50 and step.stereo.matches.similarity.min() >= 0.99


def test_keypoints_are_undistorted_once_a_frame(photo: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    undistorted: list[int] = []
    rays = Camera.rays

    def counted(camera: Camera, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        undistorted.append(len(pixels))
        return rays(camera, pixels)

    monkeypatch.setattr(Camera, "rays", counted)
    options = FrontEndOptions(verification=Verification("essential"), bridge=True, refinement="none")
    front_end = FrontEnd(Extractor.load(max_keypoints=400), options)
    for index in range(3):
        left, right = pair(photo, 2 * index)
        front_end.process(left, index, right=RightImage(right, stereo_cameras()))
    assert undistorted == [400] * 6  # the left and the right image of each frame


class Matching(Scripted):
    """A backend that also matches, and says whose descriptors it was asked to match with."""

    def __init__(self, *frames: NDArray[np.float32]) -> None:
        super().__init__(*frames)
        self.asked: list[NDArray[np.float32] | None] = []

    def extract_and_match(self, image: Image, previous: NDArray[np.float32] | None) -> tuple[Extracted, None]:
        self.asked.append(previous)
        return self.extract(image), None


def test_backend_that_matches_is_told_the_previous_frame(photo: Image) -> None:
    backend = Matching(*(np.full((5, 2), 50.0, np.float32) for _ in range(4)))
    front_end = FrontEnd(Extractor(backend))
    steps = [front_end.process(view(photo), index) for index in range(2)]
    front_end.reset()
    steps += [front_end.process(view(photo), index) for index in range(2)]
    previous = [None, steps[0].frame.features.descriptors, None, steps[2].frame.features.descriptors]
    assert [a is b for a, b in zip(backend.asked, previous)] == [True] * 4


def test_a_camera_of_another_size_is_refused_and_the_previous_frame_is_kept(front_end: FrontEnd, photo: Image) -> None:
    height, width = photo.shape
    matrix = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    front_end.process(photo, 0)
    with pytest.raises(ValueError, match=rf"for {width // 2}x{height} images, but they are {width}x{height}: publish"):
        front_end.process(photo, 1, Camera(width // 2, height, matrix, np.zeros(5)))
    step = front_end.process(photo, 2, Camera(width, height, matrix, np.zeros(5)))
    assert len(step.matches) and step.frame.rays is not None


def test_a_right_camera_of_another_size_is_told(front_end: FrontEnd, photo: Image) -> None:
    geometry = stereo_cameras()
    left = photo[: geometry.left.height, : geometry.left.width]
    step = front_end.process(left, 0, right=RightImage(left[:-1], geometry))
    assert step.stereo is None and "images, but they are" in step.right_problem


def test_a_fisheye_beyond_90_degrees_has_features_without_rays_and_verified_matches(photo: Image) -> None:
    """Tracks, bridged or not, go through keypoints without a ray; what is verified has one."""
    height, width = photo.shape
    matrix = np.array([[70.0, 0, width / 2], [0, 70, height / 2], [0, 0, 1]])
    camera = Camera(width, height, matrix, np.zeros(4), "equidistant")
    options = FrontEndOptions(verification=Verification("essential"), bridge=True)
    front_end = FrontEnd(Extractor.load(max_keypoints=400), options)
    for index in range(4):
        step = front_end.process(np.roll(photo, index, axis=1), index, camera)
        rays = step.frame.rays
        assert rays is not None
        known = np.isfinite(rays).all(axis=1)
        inside = np.linalg.norm(step.frame.features.keypoints - matrix[:2, 2], axis=1) < 70 * np.pi / 2 - 1e-3
        np.testing.assert_array_equal(known, inside)
        assert 0 < known.mean() < 1
        assert known[step.matches.indices[:, 0]].all()
    assert len(step.matches) > 20
