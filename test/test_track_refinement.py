"""Tracks of the front-end with refined positions, on a photograph that moves by known parts of a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from silk_ros import Extractor, Features, match
from silk_ros.backends import Extracted
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.camera import Camera
from silk_ros.handover import LIMIT
from silk_ros.step import Step

Image = NDArray[np.uint8]
HEIGHT, WIDTH, MARGIN, PIXEL = 200, 280, 30, 2.0
COUNT = 300


class Scene:
    """A photo that a camera looks at, shifted by known pixels, and the points of it that a network would find."""

    def __init__(self, noise: float = 2.0) -> None:
        photo = cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2GRAY)
        self._photo = cv2.resize(photo, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        self._rng, self._noise = np.random.default_rng(0), noise
        area = self._photo[40 : 40 + HEIGHT, 40 : 40 + WIDTH]
        found = cv2.goodFeaturesToTrack(area[MARGIN:-MARGIN, MARGIN:-MARGIN], COUNT, 0.005, 3)[:, 0]
        self.points = (found + MARGIN + 40).astype(np.float64)  # in the photo

    def view(self, shift: NDArray[np.float64]) -> Image:
        matrix = np.column_stack([np.eye(2), shift + 40])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(self._photo, matrix, (WIDTH, HEIGHT), flags=flags)
        noisy = image + self._rng.normal(0, self._noise, image.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    def seen(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the points are in the view."""
        return self.points - shift - 40


class Grid:
    """A backend that finds given points on the grid of a network at half size, and knows them again."""

    name, device, precision, reason, border, model = "grid", "CPU", "fp32", "", 3, Path("grid.onnx")

    def __init__(self, frames: Iterator[NDArray[np.float64]]) -> None:
        self._frames = frames
        self.max_keypoints = self.descriptor_dim = COUNT

    def extract(self, image: Image) -> Extracted:
        points = next(self._frames)  # in pixels of the image; the network's are half of it
        centres = np.round((points + 0.5) / PIXEL - 0.5).astype(np.float32)
        count = len(points)
        return centres, np.linspace(1, 0.5, count, dtype=np.float32), np.eye(count, COUNT, dtype=np.float32)


def hover(index: int) -> NDArray[np.float64]:
    return np.array([1.3 * np.sin(0.7 * index), 1.1 * np.cos(1.1 * index) - 1.1])


def drift(index: int) -> NDArray[np.float64]:
    return np.array([0.23 * index, -0.17 * index])


def run(scene: Scene, path: Callable[[int], NDArray[np.float64]], count: int, **options: object) -> list[Step]:
    shifts = [path(index) for index in range(count)]
    extractor = Extractor(Grid(scene.seen(shift) for shift in shifts), scale=1 / PIXEL)
    front_end = FrontEnd(extractor, FrontEndOptions(**options))  # type: ignore[arg-type]
    return [front_end.process(scene.view(shift), index) for index, shift in enumerate(shifts)]


def errors(scene: Scene, step: Step, first: Step, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of the tracks that the first step has too from where its keypoints are now."""
    _, rows, first_rows = np.intersect1d(step.frame.tracks.ids, first.frame.tracks.ids, return_indices=True)
    truth = first.frame.features.keypoints[first_rows] - shift
    return np.linalg.norm(step.frame.features.keypoints[rows] - truth, axis=1)


@pytest.mark.parametrize("path", [hover, drift])
def test_tracks_stay_one_point_for_a_hundred_frames(path: Callable[[int], NDArray[np.float64]]) -> None:
    scene = Scene()
    steps = run(scene, path, 101)
    early, late = (errors(scene, steps[index], steps[0], path(index)) for index in (1, 100))
    assert len(late) > 0.6 * len(scene.points), "most tracks live"
    assert np.median(late) < 0.2 and np.median(early) < 0.1
    coarse = run(scene, path, 101, refinement="none")
    assert np.median(errors(scene, coarse[100], coarse[0], path(100))) > 3 * np.median(late)


def test_tracks_of_the_network_pass_a_template_check_after_a_hundred_frames() -> None:
    scene = Scene()
    front_end = FrontEnd(Extractor.load(max_keypoints=5000, scale=1 / PIXEL))
    first, *_, last = (front_end.process(scene.view(drift(index)), index).frame for index in range(101))
    _, rows, first_rows = np.intersect1d(last.tracks.ids, first.tracks.ids, return_indices=True)
    pairs = zip(first.features.keypoints[first_rows], last.features.keypoints[rows])
    apart = [template_distance(first.image, last.image, before, now) for before, now in pairs]
    assert len(apart) > 50, "there are long tracks"
    assert np.median(apart) < 0.15 and np.quantile(apart, 0.9) < 0.5


def template_distance(
    image_before: Image, image: Image, before: NDArray[np.float32], now: NDArray[np.float32], reach: int = 4
) -> float:
    """Pixels between a point and the best place, at most `reach` from it, of what another image shows at `before`."""
    side = 15
    template, area = (
        cv2.getRectSubPix(each, (size, size), point.tolist())
        for each, size, point in ((image_before, side, before), (image, side + 2 * reach, now))
    )
    alike = cv2.matchTemplate(area, template, cv2.TM_CCOEFF_NORMED)
    column, row = cv2.minMaxLoc(alike[1:-1, 1:-1])[3]
    around = alike[row : row + 3, column : column + 3]
    (left, _, right), (above, _, below), middle = around[1], around[:, 1], around[1, 1]
    x = column + 1 - reach + (left - right) / 2 / (left - 2 * middle + right)
    y = row + 1 - reach + (above - below) / 2 / (above - 2 * middle + below)
    return float(np.hypot(x, y))


def test_matches_tracks_and_features_agree() -> None:
    camera = Camera(WIDTH, HEIGHT, np.array([[200.0, 0, 140], [0, 200, 100], [0, 0, 1]]), np.array([-0.1, 0, 0, 0, 0]))
    scene, before = Scene(), None
    shifts = [drift(3 * index) for index in range(4)]
    front_end = FrontEnd(Extractor(Grid(map(scene.seen, iter(shifts))), scale=1 / PIXEL), FrontEndOptions(bridge=True))
    for index, shift in enumerate(shifts):
        step = front_end.process(scene.view(shift), index, camera)
        frame = step.frame
        assert frame.rays is not None
        np.testing.assert_array_equal(frame.rays, camera.rays(frame.features.keypoints))
        if before is not None:
            assert step.previous is not None and 0.8 < step.refined_share <= 1
            np.testing.assert_array_equal(step.previous.features.keypoints, before.frame.features.keypoints)
            rows, previous_rows = step.matches.indices.T
            np.testing.assert_array_equal(frame.tracks.ids[rows], step.previous.tracks.ids[previous_rows])
            motion = frame.features.keypoints[rows] - step.previous.features.keypoints[previous_rows]
            assert np.median(np.linalg.norm(motion + drift(3), axis=1)) < 0.1
            others = np.setdiff1d(np.arange(len(frame.features)), rows)
            assert (frame.offsets[others] == 0).all(), "what is not matched stays where the network found it"
        before = step


@pytest.fixture(scope="module")
def network() -> Extractor:
    return Extractor.load(max_keypoints=3000, scale=1 / PIXEL)


@pytest.fixture(scope="module")
def slow(network: Extractor) -> list[Step]:
    """What the network makes of a photo that moves by 0.3 px an image, for sixty images."""
    scene, front_end = Scene(), FrontEnd(network)
    return [front_end.process(scene.view(np.array([0.25 * index, -0.17 * index])), index) for index in range(61)]


def test_slow_tracks_live_on_and_never_leave_what_their_rows_describe(slow: list[Step]) -> None:
    """Where a keypoint moves by parts of a pixel, the same pixel of the grid is matched again and again."""
    for step in slow[1:]:
        assert np.linalg.norm(step.frame.offsets, axis=1).max() <= LIMIT * PIXEL + 1e-3
        assert step.refined_share > 0.9 and len(step.matches) > 0.5 * len(step.frame.features)
    truth = np.float32([-0.25, 0.17]) * 60
    _, rows, first_rows = np.intersect1d(slow[60].frame.tracks.ids, slow[0].frame.tracks.ids, return_indices=True)
    moved = slow[60].frame.features.keypoints[rows] - slow[0].frame.features.keypoints[first_rows]
    assert len(rows) > 50 and np.median(np.linalg.norm(moved - truth, axis=1)) < 0.2
    offset = np.linalg.norm(
        np.concatenate([step.frame.offsets[step.matches.indices[:, 0]] for step in slow[30:]]), axis=1
    )
    assert np.median(offset) < 0.6 * PIXEL, "most are at the nearest pixel of the grid"


def test_each_row_is_of_the_nearest_keypoint_of_the_network(network: Extractor, slow: list[Step]) -> None:
    frame, matches, found = slow[60].frame, slow[60].matches, network(slow[60].frame.image)
    np.testing.assert_array_equal(frame.found.keypoints, found.keypoints)
    np.testing.assert_array_equal(frame.found.descriptors, found.descriptors)
    rows = matches.indices[:, 0]
    nearest = np.linalg.norm(found.keypoints[None] - frame.features.keypoints[rows, None], axis=2).argmin(axis=1)
    assert (nearest == rows).mean() > 0.7, "a keypoint nearer than the own one is that of another track"


@pytest.mark.parametrize("scale", [0.5, 0.503])
def test_descriptors_describe_the_refined_positions(scale: float) -> None:
    """Matched again some images later, they find the same point more exactly than on the grid."""
    scene, errors = Scene(), {}
    for method in ("none", "subpixel"):
        front_end = FrontEnd(Extractor.load(max_keypoints=3000, scale=scale), FrontEndOptions(refinement=method))
        steps = [front_end.process(scene.view(drift(index)), index) for index in range(31)]
        a, b = steps[30].frame.features, steps[17].frame.features
        np.testing.assert_allclose(np.linalg.norm(a.descriptors, axis=1), 1, atol=1e-5)
        now, before = match(a, b).indices.T
        errors[method] = np.linalg.norm(a.keypoints[now] - b.keypoints[before] + drift(13), axis=1)
    assert np.median(errors["subpixel"]) < 0.5 * np.median(errors["none"])
    assert (errors["subpixel"] < 0.5).mean() > (errors["none"] < 0.5).mean()
    assert (errors["subpixel"] < 1.5).mean() > 0.8


def test_each_row_is_that_of_one_track(slow: list[Step]) -> None:
    for step in slow[1:]:
        rows, before = step.matches.indices.T
        assert len(np.unique(rows)) == len(rows) == len(np.unique(before)) and (np.diff(rows) > 0).all()
        assert len(np.unique(step.frame.tracks.ids)) == len(step.frame.features)


def test_published_rows_have_the_same_positions() -> None:
    everything, some = (run(Scene(), drift, 4, max_published=count) for count in (0, 100))
    for whole, part in zip(everything, some):
        assert len(part.frame.features) == 100
        rows = part.frame.features.descriptors.argmax(axis=1)
        np.testing.assert_allclose(part.frame.features.keypoints, whole.frame.features.keypoints[rows], atol=1e-5)


def test_matches_whose_images_differ_are_dropped_and_start_new_tracks() -> None:
    scene = Scene()
    seen = scene.seen(drift(0))
    wrong = seen.copy()
    wrong[::4] += [25, -18]
    extractor = Extractor(Grid(iter([seen, wrong])), scale=1 / PIXEL)
    front_end = FrontEnd(extractor)
    steps = [front_end.process(scene.view(drift(0)), index) for index in range(2)]
    matched = steps[1].matches.indices[:, 0]
    assert np.isin(matched, np.arange(0, len(seen), 4)).mean() < 0.05 and len(matched) > 0.6 * len(seen)
    dropped = np.setdiff1d(np.arange(len(seen)), matched)
    assert not np.isin(steps[1].frame.tracks.ids[dropped], steps[0].frame.tracks.ids).any()
    assert steps[1].refined_share == pytest.approx(len(matched) / len(seen), abs=1e-6)
    refined = steps[1].matches.refined
    assert refined is not None and len(refined) == len(matched) and refined.all(), "what remains is refined"


def test_where_most_images_differ_no_match_is_dropped() -> None:
    scene = Scene()
    extractor = Extractor(Grid(iter([scene.seen(drift(0))] * 2)), scale=1 / PIXEL)
    front_end = FrontEnd(extractor)
    front_end.process(scene.view(drift(0)), 0)
    step = front_end.process(scene.view(drift(0))[::-1].copy(), 1)
    assert step.refined_share < 0.3 and len(step.matches) == len(scene.points)
    moved = np.abs(step.frame.offsets).max(axis=1) > 0
    assert moved.mean() == pytest.approx(step.refined_share), "the others stay where the network found them"
    np.testing.assert_array_equal(step.matches.refined, moved[step.matches.indices[:, 0]])


def test_bridged_tracks_are_refined_too() -> None:
    scene, shifts = Scene(), [hover(index) for index in range(4)]
    frames = [scene.seen(shift) for shift in shifts]
    frames[2] = frames[2].copy()
    frames[2][::4] = [[WIDTH - 12, HEIGHT - 12]]  # a quarter of the points is not seen
    front_end = FrontEnd(Extractor(Grid(iter(frames)), scale=1 / PIXEL), FrontEndOptions(bridge=True))
    steps = [front_end.process(scene.view(shift), index) for index, shift in enumerate(shifts)]
    bridged = np.setdiff1d(
        np.flatnonzero(np.isin(steps[3].frame.tracks.ids, steps[1].frame.tracks.ids)), steps[3].matches.indices[:, 0]
    )
    assert len(bridged) > 0.15 * len(scene.points)
    places = {int(track): row for row, track in enumerate(steps[1].frame.tracks.ids)}
    rows = [places[int(track)] for track in steps[3].frame.tracks.ids[bridged]]
    truth = steps[1].frame.features.keypoints[rows] + shifts[1] - shifts[3]
    error = np.linalg.norm(steps[3].frame.features.keypoints[bridged] - truth, axis=1)
    assert np.median(error) < 0.15


def test_no_keypoint_moves_under_the_mask() -> None:
    scene = Scene()
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, ::8] = 0
    extractor = Extractor.load(max_keypoints=400)
    front_end = FrontEnd(extractor)
    for index in range(3):
        step = front_end.process(scene.view(drift(3 * index)), index, mask=mask)
        column, row = np.rint(step.frame.features.keypoints).astype(int).T
        assert (mask[row, column] > 0).all()
    assert len(step.matches) > 50


def test_options_can_change_between_images() -> None:
    scene, shifts = Scene(), [drift(index) for index in range(6)]
    front_end = FrontEnd(Extractor(Grid(map(scene.seen, iter(shifts))), scale=1 / PIXEL))
    refined = []
    for index, shift in enumerate(shifts):
        front_end.change(FrontEndOptions(refinement="none" if index % 2 else "subpixel"))
        step = front_end.process(scene.view(shift), index)
        refined.append(step.refined_share)
        assert (step.matches.refined is None) == (index == 0 or index % 2 == 1)
    assert np.isnan(refined[::2][:1]).all() and np.isnan(refined[1::2]).all() and min(refined[2::2]) > 0.8


def test_an_unknown_refinement_is_explained() -> None:
    with pytest.raises(ValueError, match="unknown refinement 'exact': choose one of none, subpixel"):
        FrontEndOptions(refinement="exact")


def test_images_without_a_match_go_through() -> None:
    front_end = FrontEnd(Extractor.load(max_keypoints=200))
    rng = np.random.default_rng(0)
    images = [np.zeros((80, 100), np.uint8), rng.integers(0, 255, (80, 100)).astype(np.uint8)]
    for index in range(4):
        step = front_end.process(images[index % 2], index)
        assert isinstance(step.frame.features, Features) and len(step.frame.features) == 200
