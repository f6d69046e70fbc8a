from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from layouts import (
    BASELINE,
    COUNT,
    RATE,
    SIZE,
    STEP,
    WRITERS,
    mounted,
    pose,
    turned,
    write_euroc,
    write_kitti,
    write_kitti_raw,
    write_seven_scenes,
    write_stereo,
    write_tum,
)

from silk_ros.evaluation.datasets.posed import PosedFrame, open_sequence, register_depth
from silk_ros.evaluation.options import DatasetError
from silk_ros.images.sources import open_source

POSE = "1 0 0 0 0 1 0 0 0 0 1"
P0, P1 = "100 0 31.5 0 0 100 23.5 0 0 0 1 0", "100 0 31.5 -50 0 100 23.5 0 0 0 1 0"


def write_image(path: Path, value: int = 0, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full(size[::-1], value, np.uint8))


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """Two stereo frames, the second a metre ahead; image values say which is which."""
    for index in range(2):
        write_image(tmp_path / f"image_0/{index}.png", 10 + index)
        write_image(tmp_path / f"image_1/{index}.png", 20 + index)
    (tmp_path / "calib.txt").write_text(f"P0: {P0}\nP1: {P1}\n")
    (tmp_path / "poses.txt").write_text(f"{POSE} 0\n{POSE} 1\n")
    return tmp_path


@pytest.fixture
def seven_scenes(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[585, 0, 320], [0, 585, 240], [0, 0, 1]])
    depth = np.full((480, 640), 2000, np.uint16)
    depth[:, 437:] = 3000
    depth[0], depth[479] = 0, 65535
    for index in range(2):
        write_image(tmp_path / f"frame-00000{index}.color.png", 10 + index, (640, 480))
        cv2.imwrite(str(tmp_path / f"frame-00000{index}.depth.png"), depth)
        np.savetxt(tmp_path / f"frame-00000{index}.pose.txt", np.eye(4))
    return tmp_path


def test_kitti_stereo(kitti: Path) -> None:
    sequence = open_sequence(kitti)
    assert len(sequence) == 2 and sequence.depth_files is None
    assert sequence.baseline == pytest.approx(0.5)
    np.testing.assert_allclose(sequence.matrix, [[100, 0, 31.5], [0, 100, 23.5], [0, 0, 1]])
    np.testing.assert_allclose(sequence.poses[1], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
    np.testing.assert_allclose(sequence.timestamps, [0, 0.1])
    frame = sequence[1]
    assert frame.image[0, 0] == 11 and frame.right is not None and frame.right[0, 0] == 21 and frame.depth is None


def test_rows_of_the_calibration_need_no_labels(kitti: Path) -> None:
    (kitti / "calib.txt").write_text(f"{P0}\n{P1}")
    assert open_sequence(kitti).baseline == pytest.approx(0.5)


def test_one_camera_has_no_baseline(kitti: Path) -> None:
    for path in (kitti / "image_1").iterdir():
        path.unlink()
    (kitti / "image_1").rmdir()
    (kitti / "calib.txt").write_text(f"P0: {P0}")
    sequence = open_sequence(kitti)
    assert sequence.baseline is None and sequence[0].right is None
    np.testing.assert_allclose(sequence.timestamps, [0, 1 / 30])


def test_intrinsics_follow_the_size_by_pixel_areas(kitti: Path) -> None:
    # At half size, centre 31.5 of 64 pixels is 15.5 of 32, in the middle as before.
    sequence = open_sequence(kitti, shorter_edge=24)
    np.testing.assert_allclose(sequence.matrix, [[50, 0, 15.5], [0, 50, 11.5], [0, 0, 1]])
    assert sequence[0].image.shape == (24, 32) and sequence.baseline == pytest.approx(0.5)


def test_seven_scenes(seven_scenes: Path) -> None:
    sequence = open_sequence(seven_scenes)
    assert sequence.depth_files and sequence.baseline is None
    np.testing.assert_allclose(sequence.timestamps, [0, 1 / 30])
    np.testing.assert_allclose(sequence.matrix, [[525, 0, 320], [0, 525, 240], [0, 0, 1]])
    assert sequence[1].image[0, 0] == 11


def test_depth_is_that_of_the_colour_pixel_on_the_same_ray(seven_scenes: Path) -> None:
    # The edge at 437 of the depth image lies (437 - 320) / 585 = 0.2 to the right: 0.2 * 525 + 320 = 425 in colour.
    depth = open_sequence(seven_scenes)[0].depth
    assert depth is not None and depth.shape == (480, 640)
    assert depth[240, 424] == pytest.approx(2) and depth[240, 425] == pytest.approx(3)
    # The colour camera sees more than the depth camera: by 240 * (585 / 525 - 1) = 27 pixels at the top.
    assert np.isnan(depth[20, 320]) and np.isfinite(depth[30, 320])


def test_depth_follows_the_size(seven_scenes: Path) -> None:
    depth = open_sequence(seven_scenes, shorter_edge=240)[0].depth
    assert depth is not None and depth.shape == (240, 320)
    assert depth[120, 211] == pytest.approx(2) and depth[120, 213] == pytest.approx(3)


def test_the_values_of_no_depth_are_unknown(tmp_path: Path) -> None:
    folder = write_tum(tmp_path, "freiburg3")  # no distortion: pixels stay
    for file in (folder / "depth").iterdir():
        image = np.full((480, 640), 65534, np.uint16)
        image[:, :100], image[:, 540:] = 0, 65535
        cv2.imwrite(str(file), image)
    depth = open_sequence(folder)[0].depth
    assert depth is not None and np.isnan(depth[:, :100]).all() and np.isnan(depth[:, 540:]).all()
    np.testing.assert_allclose(depth[:, 100:540], 65534 / 5000)


def test_invalid_depths_are_unknown() -> None:
    depth = np.array([[1.0, np.nan], [3, 4]], np.float32)
    same = register_depth(depth, np.eye(3), np.eye(3), (2, 2))
    np.testing.assert_array_equal(same, depth)
    frame = PosedFrame(np.zeros((2, 2), np.uint8), None, same)
    np.testing.assert_array_equal(
        frame.depth_at(np.array([[0.4, 0.4], [1, 0], [0, 0.6], [1.6, 0], [0, -0.6]])), [1, np.nan, 3, np.nan, np.nan]
    )


def test_images_are_read_when_asked_for(kitti: Path) -> None:
    (kitti / "image_0/1.png").write_text("no image")
    sequence = open_sequence(kitti)
    with pytest.raises(DatasetError, match=r"1\.png"):
        sequence[1]


def test_images_of_one_size(kitti: Path) -> None:
    write_image(kitti / "image_1/1.png", size=(32, 24))
    with pytest.raises(DatasetError, match=r"image_1/1\.png' has 32x24 pixels, the first image 64x48"):
        open_sequence(kitti)[1]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("calib.txt", "P1: 1", r"calib\.txt' is no KITTI calibration: its row P0 needs twelve numbers"),
        ("calib.txt", "P0: 1 2 3", r"calib\.txt'"),
        ("calib.txt", f"{P0.replace('100', '0')}\n{P1}", r"row P0 of .*calib\.txt' has no focal length"),
        ("calib.txt", f"{P0}\n{P0}", r"P1 of .*calib\.txt'"),
        ("poses.txt", f"{POSE} 0\n", r"1 rows in '.*poses\.txt' for 2 images"),
        ("poses.txt", f"{POSE} 0\n1 2 3\n", r"poses\.txt'"),
        ("poses.txt", f"{POSE} 0\n{POSE} nan\n", r"poses\.txt' does not hold poses"),
        ("poses.txt", f"{POSE} 0\n2{POSE[1:]} 0\n", r"poses\.txt' does not hold poses: each is a rotation"),
    ],
)
def test_what_is_wrong_with_kitti_is_named(kitti: Path, file: str, text: str, message: str) -> None:
    (kitti / file).write_text(text)
    with pytest.raises(DatasetError, match=message) as raised:
        open_sequence(kitti)
    assert "expected one of" in str(raised.value)


@pytest.mark.parametrize("file", ["calib.txt", "poses.txt", "image_1/0.png"])
def test_what_kitti_lacks_is_named(kitti: Path, file: str) -> None:
    (kitti / file).unlink()
    with pytest.raises(DatasetError, match=file.split("/")[0]):
        open_sequence(kitti)


@pytest.mark.parametrize("file", ["camera-intrinsics.txt", "frame-000001.pose.txt"])
def test_what_seven_scenes_lacks_is_named(seven_scenes: Path, file: str) -> None:
    (seven_scenes / file).unlink()
    with pytest.raises(DatasetError, match=file):
        open_sequence(seven_scenes)


def test_seven_scenes_has_one_size(seven_scenes: Path) -> None:
    write_image(seven_scenes / "frame-000000.color.png", size=(320, 240))
    with pytest.raises(DatasetError, match=r"frame-000000\.color\.png' has 320x240 pixels: .* for 640x480"):
        open_sequence(seven_scenes)


def test_depth_must_have_16_bits(seven_scenes: Path) -> None:
    write_image(seven_scenes / "frame-000001.depth.png", size=(640, 480))
    with pytest.raises(DatasetError, match=r"frame-000001\.depth\.png"):
        open_sequence(seven_scenes)[1]


def test_other_folders_are_told_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="KITTI"):
        open_sequence(tmp_path)
    with pytest.raises(DatasetError, match="there is no folder"):
        open_sequence(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["KITTI odometry (image_0, image_1)", "EuRoC (cam0, cam1)"])
def test_stereo_sequences_with_poses_are_read(tmp_path: Path, kind: str) -> None:
    sequence = open_sequence(WRITERS[kind](tmp_path))
    assert len(sequence) == COUNT and sequence.depth_files is None
    assert sequence.baseline == pytest.approx(BASELINE)
    np.testing.assert_allclose(sequence.timestamps, np.arange(COUNT) / RATE, atol=1e-6)
    np.testing.assert_allclose(sequence.poses, [pose(index) for index in range(COUNT)], atol=1e-4)


@pytest.mark.parametrize("cameras", [(2, 3), (2,)])
def test_the_colour_images_of_kitti_are_a_sequence(tmp_path: Path, cameras: tuple[int, ...]) -> None:
    sequence = open_sequence(write_kitti(tmp_path, cameras))
    assert sequence.baseline == (pytest.approx(BASELINE) if len(cameras) == 2 else None)
    np.testing.assert_allclose(sequence.poses[1][:3, 3], [STEP - 0.06, 0, 0], atol=1e-9)


@pytest.mark.parametrize("model", ["radial-tangential", "equidistant"])
@pytest.mark.parametrize("cameras", [(0, 1), (0,)])
def test_distorted_images_are_rectified(tmp_path: Path, model: str, cameras: tuple[int, ...]) -> None:
    """A point of the scene is where `matrix` says."""
    folder = write_euroc(tmp_path, cameras, model)
    camera = next(iter(open_source(str(folder)))).camera
    assert camera is not None
    pixel = np.array([[30, 20]])  # of the distorted image, near a corner
    for file in folder.glob("mav0/cam0/data/*.png"):
        image = np.zeros(SIZE[::-1], np.uint8)
        image[18:23, 28:33] = 255
        cv2.imwrite(str(file), image)
    sequence = open_sequence(folder)
    rows, columns = np.nonzero(sequence[0].image > 128)
    expected = sequence.matrix @ camera.rectification @ camera.rays(pixel)[0]
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected[:2] / expected[2], atol=0.3)
    assert not np.allclose(expected[:2] / expected[2], pixel[0], atol=0.2)


def test_poses_are_those_of_the_rectified_camera(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    file = folder / "mav0/cam1/sensor.yaml"
    values = yaml.safe_load(file.read_text())
    in_body = mounted(BASELINE)
    in_body[0, 3] += 0.03  # ahead of the left camera
    values["T_BS"]["data"] = in_body.ravel().tolist()
    file.write_text(yaml.safe_dump(values))
    camera = next(iter(open_source(str(folder)))).camera
    assert camera is not None and not np.allclose(camera.rectification, np.eye(3), atol=1e-3)
    poses = open_sequence(folder).poses
    np.testing.assert_allclose(poses[1][:3, :3], camera.rectification.T, atol=1e-4)
    np.testing.assert_allclose(poses[1][:3, 3], [STEP, 0, 0], atol=1e-4)


def test_tum_has_depth(tmp_path: Path) -> None:
    sequence = open_sequence(write_tum(tmp_path))
    assert sequence.depth_files is not None and len(sequence) == COUNT
    depth = sequence[1].depth
    assert depth is not None and depth.shape == (480, 640) and depth[240, 320] == pytest.approx(2)
    assert sequence.matrix[0, 0] == 517.3


@pytest.mark.parametrize("write", [write_tum, write_seven_scenes])
def test_frames_without_a_pose_are_left_out_and_counted(
    tmp_path: Path, write: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path)
    if write is write_tum:
        truth = folder / "groundtruth.txt"
        truth.write_text("\n".join(truth.read_text().splitlines()[:25]))
    else:
        (folder / "frame-000003.pose.txt").unlink()
    sequence = open_sequence(folder)
    assert len(sequence) == 3
    np.testing.assert_allclose(sequence.poses[:, 0, 3], [0, STEP, 2 * STEP], atol=1e-4)
    assert "1 frames are left out, which lack a pose" in caplog.messages[-1]


def test_the_time_of_frames_is_kept_when_others_are_left_out(seven_scenes: Path) -> None:
    write_image(seven_scenes / "frame-000002.color.png", 12, (640, 480))
    cv2.imwrite(str(seven_scenes / "frame-000002.depth.png"), np.full((480, 640), 2000, np.uint16))
    np.savetxt(seven_scenes / "frame-000002.pose.txt", np.eye(4))
    (seven_scenes / "frame-000001.pose.txt").unlink()
    np.testing.assert_allclose(open_sequence(seven_scenes).timestamps, [0, 2 / 30])


@pytest.mark.parametrize("write", [write_kitti_raw, write_stereo])
def test_a_layout_without_poses_is_named(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with pytest.raises(DatasetError, match=r"holds (KITTI raw|stereo folders) .*, of which 0 frames have a pose"):
        open_sequence(write(tmp_path))


def test_images_of_another_size_than_the_calibration_are_named(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    for file in folder.glob("mav0/cam*/data/*.png"):
        cv2.imwrite(str(file), np.zeros((48, 64), np.uint8))
    with pytest.raises(DatasetError, match=r"png' has 64x48 pixels, its calibration is for 320x240"):
        open_sequence(folder)


def test_cameras_that_are_no_calibrated_pair_are_refused(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    for file in folder.glob("mav0/cam*/sensor.yaml"):
        file.write_text(file.read_text().replace("T_BS", "T_SB"))
    assert "the cameras are no calibrated pair: their files need T_BS" in open_source(str(folder)).about
    with pytest.raises(DatasetError, match=r"0 frames have a pose .*need T_BS"):
        open_sequence(folder)


def test_without_a_calibration_there_is_no_truth(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds TUM RGB-D \(rgb\) without a calibration"):
        open_sequence(write_tum(tmp_path, "desk"))


def spot(size: tuple[int, int], pixel: tuple[int, int]) -> np.ndarray:
    """An image (H, W) that is white in a square around a pixel (column, row)."""
    image = np.zeros(size[::-1], np.uint8)
    image[pixel[1] - 2 : pixel[1] + 3, pixel[0] - 2 : pixel[0] + 3] = 255
    return image


def test_each_image_of_a_pair_is_rectified_by_its_own_camera(tmp_path: Path) -> None:
    """The right camera has another focal length and distortion, and is turned against the left one."""
    folder, pixel = write_euroc(tmp_path), (40, 30)
    file = folder / "mav0/cam1/sensor.yaml"
    values = yaml.safe_load(file.read_text())
    turn = np.eye(4)
    turn[:3, :3] = turned(0.05)
    values["T_BS"]["data"] = (mounted(BASELINE) @ turn).ravel().tolist()
    values["intrinsics"] = [320.0, 320.0, 165.0, 112.0]
    values["distortion_coefficients"] = [-0.1, 0.02, 0.0, 0.0]
    file.write_text(yaml.safe_dump(values))
    for image in folder.glob("mav0/cam*/data/*.png"):
        cv2.imwrite(str(image), spot(SIZE, pixel))
    source = next(iter(open_source(str(folder))))
    assert source.camera is not None and source.right is not None and source.right.camera is not None
    frame = open_sequence(folder)[0]
    assert frame.right is not None
    for found, camera in (frame.image, source.camera), (frame.right, source.right.camera):
        rows, columns = np.nonzero(found > 128)
        expected = camera.projection[:, :3] @ camera.rectification @ camera.rays(np.array([pixel]))[0]
        np.testing.assert_allclose([columns.mean(), rows.mean()], expected[:2] / expected[2], atol=0.5)


def test_depth_is_rectified_with_its_image(tmp_path: Path) -> None:
    """A depth image of freiburg1, whose camera has much distortion, near a corner."""
    folder, pixel = write_tum(tmp_path), (40, 30)
    for file in (folder / "depth").iterdir():
        cv2.imwrite(str(file), np.where(spot((640, 480), pixel) > 0, 5000, 20000).astype(np.uint16))
        cv2.imwrite(str(folder / "rgb" / file.name), spot((640, 480), pixel))
    frame = open_sequence(folder)[0]
    assert frame.depth is not None
    near, bright = np.argwhere(frame.depth == 1), np.argwhere(frame.image > 128)
    np.testing.assert_allclose(near.mean(axis=0), bright.mean(axis=0), atol=0.5)
    assert np.abs(near.mean(axis=0) - pixel[::-1]).max() > 2
