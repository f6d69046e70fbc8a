"""Small folders in every layout of data sets that is read, for tests and for trying the commands as a new user would.

A camera moves to the right by STEP metres per frame, along a photograph 5 metres away, or 2 metres in VGA images.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

COUNT, SIZE, VGA = 4, (320, 240), (640, 480)
STEP, RATE, BASELINE, FOCAL = 0.1, 10, 0.2, 300.0
START = 1403636579763555584  # nanoseconds
Image = NDArray[np.uint8]


@functools.cache
def _photo(size: tuple[int, int]) -> Image:
    """A photograph, wider than the images by 400 pixels."""
    width, height = size
    return np.asarray(cv2.resize(data.camera(), (width + 400, height)), np.uint8)


def view(index: int, right: bool = False, size: tuple[int, int] = SIZE) -> Image:
    """The grey image of frame `index`, of the left or the right camera."""
    step = 26 if size == VGA else 6  # pixels: focal length * STEP / distance
    start = step * index + round(step * BASELINE / STEP) * right
    return np.ascontiguousarray(_photo(size)[:, start : start + size[0]])


def pose(index: int) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[0, 3] = STEP * index
    return matrix


def stamp(index: int) -> int:
    return START + index * 10**9 // RATE


def write_images(folder: Path, names: Iterable[str], right: bool = False, size: tuple[int, int] = SIZE) -> Path:
    """The first views, under names in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), view(index, right, size))
    return folder


def numbered(count: int = COUNT, digits: int = 6) -> list[str]:
    return [f"{index:0{digits}}.png" for index in range(count)]


def row(matrix: NDArray[np.float64]) -> str:
    return " ".join(f"{number:.9g}" for number in matrix.ravel())


def projection(offset: float = 0.0) -> NDArray[np.float64]:
    """The matrix (3, 4) of a camera that stands `offset` metres to the right of camera 0."""
    width, height = SIZE
    return np.array(
        [[FOCAL, 0, (width - 1) / 2, -FOCAL * offset], [0, FOCAL, (height - 1) / 2, 0], [0, 0, 1, 0]], np.float64
    )


def write_kitti(folder: Path, cameras: tuple[int, ...] = (0, 1), count: int = COUNT) -> Path:
    """KITTI odometry. Cameras 2 and 3 stand 6 cm to the left of cameras 0 and 1."""
    for camera in cameras:
        write_images(folder / f"image_{camera}", numbered(count), right=camera % 2 == 1)
    offsets = (0.0, BASELINE, -0.06, BASELINE - 0.06)
    rows = [f"P{camera}: {row(projection(offset))}" for camera, offset in enumerate(offsets)]
    (folder / "calib.txt").write_text("\n".join(rows))
    (folder / "times.txt").write_text("\n".join(f"{index / RATE:e}" for index in range(count)))
    (folder / "poses.txt").write_text("\n".join(row(pose(index)[:3]) for index in range(count)))
    return folder


def turned(angle: float) -> NDArray[np.float64]:
    """The rotation (3, 3) by an angle in radians around the y axis."""
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def write_kitti_raw(folder: Path, cameras: tuple[int, ...] = (0, 1), rectified: bool = True) -> Path:
    """The drive of KITTI raw in a folder of its date, which holds the calibration."""
    date = folder / "2011_09_26"
    drive = date / f"2011_09_26_drive_0001_{'sync' if rectified else 'extract'}"
    distorted, width, height = (SIZE[0] + 10, SIZE[1] + 6), *SIZE
    lines = ["calib_time: 09-Jan-2012 13:57:47"]
    for camera in range(4):
        offset = (0.0, BASELINE, -0.06, BASELINE - 0.06)[camera]
        if camera in cameras:
            size = SIZE if rectified else distorted
            images = drive / f"image_{camera:02}"
            write_images(images / "data", numbered(digits=10), camera % 2 == 1, size)
            times = (f"2011-09-26 13:02:{25 + index / RATE:012.9f}" for index in range(COUNT))
            (images / "timestamps.txt").write_text("\n".join(times))
        lines += [
            f"S_{camera:02}: {distorted[0]:e} {distorted[1]:e}",
            f"K_{camera:02}: {row(projection()[:, :3])}",
            f"D_{camera:02}: -3.7e-01 2.0e-01 1.0e-03 2.0e-03 -7.0e-02",
            f"S_rect_{camera:02}: {width:e} {height:e}",
            f"R_rect_{camera:02}: {row(turned(0.01 * (camera + 1)))}",
            f"P_rect_{camera:02}: {row(projection(offset))}",
        ]
    (date / "calib_cam_to_cam.txt").write_text("\n".join(lines))
    return drive


SENSOR = """# camera
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: {mounted}
rate_hz: {rate}
resolution: {size}
camera_model: pinhole
intrinsics: [{focal}, {focal}, {cx}, {cy}]
distortion_model: {model}
distortion_coefficients: {coefficients}
"""
COEFFICIENTS = {"radial-tangential": [-0.28, 0.07, 0.0002, 1.8e-05], "equidistant": [0.003, 0.0007, -0.002, 0.0002]}


def mounted(offset: float) -> NDArray[np.float64]:
    """The pose of a camera in the body, whose z axis points up: the camera looks along the body's x axis."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    matrix[:3, 3] = [0.05, -offset, 0.02]
    return matrix


def write_euroc(folder: Path, cameras: tuple[int, ...] = (0, 1), model: str = "radial-tangential") -> Path:
    """EuRoC: mav0 with cameras, and the body's trajectory at 100 Hz, such that camera 0 has the poses of `pose`."""
    for camera in cameras:
        inside = folder / "mav0" / f"cam{camera}"
        names = [f"{stamp(index)}.png" for index in range(COUNT)]
        write_images(inside / "data", names, camera == 1)
        rows = [f"{stamp(index)},{name}\r" for index, name in enumerate(names)]
        (inside / "data.csv").write_text("\n".join(["#timestamp [ns],filename\r", *rows, ""]))
        text = SENSOR.format(
            mounted=mounted(BASELINE * camera).ravel().tolist(),
            rate=RATE,
            size=list(SIZE),
            focal=FOCAL,
            cx=(SIZE[0] - 1) / 2,
            cy=(SIZE[1] - 1) / 2,
            model=model,
            coefficients=COEFFICIENTS[model],
        )
        (inside / "sensor.yaml").write_text(text)
    truth = folder / "mav0/state_groundtruth_estimate0"
    truth.mkdir()
    lines = ["#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], v_x"]
    for tick in range(-2, COUNT * 10):
        body = np.eye(4)
        body[0, 3] = STEP * tick / 10
        body = body @ np.linalg.inv(mounted(0.0))
        # The inverse of the camera's rotation in the body, as w, x, y, z.
        numbers = [*body[:3, 3].tolist(), 0.5, 0.5, -0.5, 0.5, 1.0]
        lines.append(f"{stamp(0) + tick * 10**7 + 1000}," + ",".join(map(str, numbers)))
    (truth / "data.csv").write_text("\n".join(lines))
    return folder


def write_tum(folder: Path, name: str = "rgbd_dataset_freiburg1_desk") -> Path:
    """TUM RGB-D, with depth images 2 metres away and a trajectory at 100 Hz."""
    root = folder / name
    times = [f"{stamp(index) / 1e9:.6f}" for index in range(COUNT)]
    write_images(root / "rgb", [f"{time}.png" for time in times], size=VGA)
    (root / "depth").mkdir()
    for time in times:
        cv2.imwrite(str(root / "depth" / f"{time}.png"), np.full(VGA[::-1], 10_000, np.uint16))
    for kind in ("rgb", "depth"):
        rows = [f"{time} {kind}/{time}.png" for time in times]
        (root / f"{kind}.txt").write_text("\n".join([f"# {kind} images", "# timestamp filename", *rows]))
    ticks = range(-2, COUNT * 10)
    rows = [f"{(stamp(0) + tick * 10**7) / 1e9:.4f} {STEP * tick / 10:.4f} 0 0 0 0 0 1" for tick in ticks]
    (root / "groundtruth.txt").write_text("\n".join(["# timestamp tx ty tz qx qy qz qw", *rows]))
    return root


def write_seven_scenes(folder: Path) -> Path:
    """A sequence of 7-Scenes, everything 2 metres away."""
    write_images(folder, [f"frame-{index:06}.color.png" for index in range(COUNT)], size=VGA)
    np.savetxt(folder / "camera-intrinsics.txt", [[585, 0, 320], [0, 585, 240], [0, 0, 1]])
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"frame-{index:06}.depth.png"), np.full(VGA[::-1], 2000, np.uint16))
        np.savetxt(folder / f"frame-{index:06}.pose.txt", pose(index))
    return folder


def write_stereo(folder: Path, left: str = "left", right: str = "right", names: list[str] | None = None) -> Path:
    """Two folders of the images of a pair, without a calibration."""
    write_images(folder / left, names or numbered())
    write_images(folder / right, names or numbered(), right=True)
    return folder


def write_video(path: Path, codec: str = "MJPG", count: int = 20, rate: float = 10.0) -> Path:
    """A video in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, SIZE)
    assert writer.isOpened()
    for index in range(count):
        writer.write(cv2.cvtColor(view(index), cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


WRITERS = {
    "KITTI odometry (image_0, image_1)": write_kitti,
    "KITTI raw (image_00, image_01)": write_kitti_raw,
    "EuRoC (cam0, cam1)": write_euroc,
    "TUM RGB-D (rgb)": write_tum,
    "7-Scenes (frame-*.color.*)": write_seven_scenes,
    "stereo folders (left, right)": write_stereo,
}
