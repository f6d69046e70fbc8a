from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from silk_ros.geometry.camera import Camera
from silk_ros.images.sequence import FIRST_STAMP, SequenceFrame, read_frames
from silk_ros.images.source import SourceImage

CAMERA = Camera(4, 2, np.array([[5.0, 0, 1.5], [0, 5, 0.5], [0, 0, 1]]), np.zeros(5))


class Listed:
    """Five images at 10 Hz, as grey as their place."""

    rate = 10.0
    stereo = False

    def __init__(self, stamps: list[int | None] | None = None, camera: Camera | None = None) -> None:
        self.stamps, self.camera = stamps or [None] * 5, camera

    def __iter__(self) -> Iterator[SourceImage]:
        for level, stamp in enumerate(self.stamps):
            yield SourceImage.from_array(np.full((2, 4), level, np.uint8), stamp=stamp, camera=self.camera)


def test_every_second_image_at_the_sources_rate() -> None:
    views = list(read_frames(Listed(), every=2))
    assert [view.index for view in views] == [0, 2, 4] == [view.gray[0, 0] for view in views]
    assert [view.stamp - FIRST_STAMP for view in views] == [0, 200_000_000, 400_000_000]
    assert views[0].camera is None and FIRST_STAMP > 0


def test_stamps_and_intrinsics_of_the_source_are_kept_and_given_ones_come_first() -> None:
    source = Listed([7, 8, 9], CAMERA)
    views = list(read_frames(source))
    assert [view.stamp for view in views] == [7, 8, 9] and views[0].camera is CAMERA
    given = next(read_frames(source, intrinsics=[6.0, 7.0, 2.0, 1.0, 0.1, 0.2, 0.3, 0.4])).camera
    assert given is not None and (given.width, given.height) == (4, 2)
    np.testing.assert_array_equal(given.matrix, [[6, 0, 2], [0, 7, 1], [0, 0, 1]])
    np.testing.assert_array_equal(given.distortion, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(("encoding", "blue"), [("bgr8", 10), ("rgb8", 30)])
def test_pictures_keep_their_colours(encoding: str, blue: int) -> None:
    rows = np.zeros((2, 14), np.uint8)  # two bytes of padding
    rows[:, :12] = np.tile([10, 20, 30], 4)
    image = SourceImage(rows.ravel(), 2, 4, encoding, 14)
    picture = SequenceFrame(0, 0, image, np.zeros((2, 4), np.uint8), None).picture()
    assert picture.shape == (2, 4, 3) and (picture[..., 0] == blue).all() and (picture[..., 1] == 20).all()


def test_a_grey_source_gives_grey_pictures() -> None:
    (first, *_) = read_frames(Listed())
    assert first.picture() is first.gray


class Pairs(Listed):
    """Stereo pairs; the right image is brighter by 100."""

    stereo = True

    def __init__(self, camera: Camera | None, right_camera: Camera | None) -> None:
        super().__init__(camera=camera)
        self.right_camera = right_camera

    def __iter__(self) -> Iterator[SourceImage]:
        for image in super().__iter__():
            right = SourceImage.from_array(image.gray() + np.uint8(100), camera=self.right_camera)
            yield replace(image, right=right)


def test_pairs_have_their_right_image_and_geometry() -> None:
    right_camera = replace(CAMERA, projection=np.column_stack([CAMERA.matrix, [-1.0, 0, 0]]))
    frame = next(read_frames(Pairs(CAMERA, right_camera)))
    right, geometry = frame.right(), frame.geometry()
    assert right is not None and right[0, 0] == 100
    assert geometry is not None and geometry.baseline == pytest.approx(0.2)
    assert next(read_frames(Pairs(CAMERA, right_camera), intrinsics=[5.0, 5, 1, 1])).geometry() is None


@pytest.mark.parametrize("right_camera", [None, replace(CAMERA, width=8)], ids=["none", "another size"])
def test_pairs_without_a_fitting_calibration_have_no_geometry(right_camera: Camera | None) -> None:
    frame = next(read_frames(Pairs(CAMERA, right_camera)))
    assert frame.right() is not None and frame.geometry() is None


def test_calibrations_of_no_pair_are_explained_to_who_asks_for_the_geometry() -> None:
    frame = next(read_frames(Pairs(CAMERA, CAMERA)))
    with pytest.raises(ValueError, match="no baseline"):
        frame.geometry()


def test_images_have_the_frames_of_their_cameras_and_pairs_also_where_the_right_one_is_missing() -> None:
    class Recorded(Pairs):
        def __iter__(self) -> Iterator[SourceImage]:
            for index, image in enumerate(super().__iter__()):
                assert image.right is not None
                right = replace(image.right, frame_id="r", stamp=50 + index) if index else None
                yield replace(image, right=right if index != 2 else None, frame_id="l", stamp=index)

    assert [frame.frame_ids for frame in read_frames(Listed())] == [("camera",)] * 5
    assert {frame.frame_ids for frame in read_frames(Pairs(None, None))} == {("camera_left", "camera_right")}
    frames = list(read_frames(Recorded(None, None)))
    assert [frame.frame_ids for frame in frames] == [("l", "camera_right")] + [("l", "r")] * 4
    assert [frame.right_stamp for frame in frames] == [0, 51, 2, 53, 54]


def test_a_mask_is_of_the_images_of_its_size_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    class TwoSizes(Listed):
        def __iter__(self) -> Iterator[SourceImage]:
            yield from super().__iter__()
            yield SourceImage.from_array(np.zeros((4, 4), np.uint8))

    mask = np.ones((2, 4), np.uint8)
    masks = [frame.mask for frame in read_frames(TwoSizes(), mask=mask)]
    assert all(each is mask for each in masks[:5]) and masks[5] is None
    assert "the mask was not used for 1 of 6 images" in caplog.text
