from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")
import pycolmap

from silk_ros import Features
from silk_ros.commands.colmap import DatabaseSummary, DatabaseWriter
from silk_ros.commands.colmap_cameras import camera_model
from silk_ros.commands.colmap_mapping import DATABASE, describe_model, map_images
from silk_ros.geometry.camera import Camera
from silk_ros.images.sequence import SequenceFrame
from silk_ros.images.source import SourceImage

WIDTH, HEIGHT, FOCAL = 320, 240, 250.0
MATRIX = np.array([[FOCAL, 0, 160.0], [0, FOCAL, 120.0], [0, 0, 1]])
POINTS = 150


def camera(*distortion: float, model: str = "plumb_bob") -> Camera:
    return Camera(WIDTH, HEIGHT, MATRIX, np.array(distortion), model)


def view(index: int, calibration: Camera | None = None, size: tuple[int, int] = (WIDTH, HEIGHT)) -> SequenceFrame:
    image = np.full((size[1], size[0], 3), (10, 20, 30), np.uint8)
    return SequenceFrame(index, index, SourceImage.from_array(image), image[..., 0].copy(), calibration)


def centre(index: int) -> NDArray[np.float64]:
    """Of a camera that goes sideways past the scene on a bent path."""
    return np.array([0.2 * index, 0.02 * index**2, 0.1 * np.sin(index)])


def features(index: int) -> Features:
    """What the camera sees of a cloud of points, which it tells apart without fail; it always looks along z."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-2, -1.5, 3), (4, 2, 7), (POINTS, 3)) - centre(index)
    keypoints = (points @ MATRIX.T)[:, :2] / points[:, 2:]
    descriptors = rng.normal(size=(POINTS, 32))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    seen = ((keypoints >= 0) & (keypoints <= (WIDTH - 1, HEIGHT - 1))).all(axis=1)
    return Features(keypoints[seen], np.ones(seen.sum()), descriptors[seen])


def write(folder: Path, count: int, calibration: Camera | None, window: int, loop: int = 0) -> DatabaseSummary:
    writer = DatabaseWriter(folder, window, loop)
    for index in range(count):
        writer.add(view(index, calibration), features(index))
    return writer.close()


def test_keypoints_and_principal_point_take_colmaps_pixel_centres(tmp_path: Path) -> None:
    write(tmp_path / "out", 2, camera(), window=1)
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    np.testing.assert_allclose(database.read_keypoints(1), features(0).keypoints + 0.5, atol=1e-4)
    (stored,) = database.read_all_cameras()
    assert stored.model_name == "PINHOLE" and stored.has_prior_focal_length
    np.testing.assert_allclose(stored.params, [FOCAL, FOCAL, 160.5, 120.5])
    # A point on the optical axis is seen at the principal point by both.
    np.testing.assert_allclose(stored.img_from_cam(np.array([0.0, 0.0, 1.0])), MATRIX[:2, 2] + 0.5)
    database.close()


def test_an_unknown_camera_takes_colmaps_guess(tmp_path: Path) -> None:
    write(tmp_path / "out", 1, None, window=1)
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    stored = database.read_camera(1)
    assert stored.model_name == "SIMPLE_RADIAL" and not stored.has_prior_focal_length
    np.testing.assert_allclose(stored.params, [1.2 * WIDTH, WIDTH / 2, HEIGHT / 2, 0])
    database.close()


@pytest.mark.parametrize(
    ("distortion", "model", "expected"),
    [
        ((), "plumb_bob", "PINHOLE"),
        ((0.0,) * 5, "plumb_bob", "PINHOLE"),
        ((0.1, -0.05, 1e-3, 2e-3), "plumb_bob", "OPENCV"),
        ((0.1, -0.05, 1e-3, 2e-3, 0.02), "plumb_bob", "FULL_OPENCV"),
        ((0.1, -0.05, 1e-3, 2e-3, 0.02, 0.03, 0.01, 0.005), "rational_polynomial", "FULL_OPENCV"),
        ((0.1, -0.05, 1e-3, 2e-3), "equidistant", "OPENCV_FISHEYE"),
    ],
)
def test_colmaps_model_projects_as_opencv_does(distortion: tuple[float, ...], model: str, expected: str) -> None:
    name, parameters = camera_model(camera(*distortion, model=model))
    assert name == expected
    stored = pycolmap.Camera.create_from_model_name(1, name, FOCAL, WIDTH, HEIGHT)
    stored.params = parameters
    points = np.array([[0.3, -0.2, 1.0], [-0.4, 0.25, 1.1], [0.1, 0.3, 0.9]])
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    zero = np.zeros((1, 1, 3))
    pixels = project(points[:, None], zero, zero, MATRIX, np.array(distortion))[0].reshape(-1, 2)
    np.testing.assert_allclose([stored.img_from_cam(point) for point in points], pixels + 0.5, atol=1e-6)


def test_a_distortion_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="rectify"):
        camera_model(camera(*[0.01] * 12, model="rational_polynomial"))


def test_an_image_from_a_file_keeps_its_name_and_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), np.full((HEIGHT, WIDTH), 7, np.uint8))
    deep = np.full((HEIGHT, WIDTH), 7 * 256, np.uint16)
    views = [view(0), view(1), view(2)]
    named = [replace(each.image, path=file, name="sub/a.png") for each in views[:2]]
    named.append(SourceImage.from_array(deep, path=file, name="deep.tif"))
    writer = DatabaseWriter(tmp_path / "out", window=1)
    for each, image in zip(views, named):
        writer.add(replace(each, image=image), features(each.index))
    writer.close()
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    names = [database.read_image(number).name for number in (1, 2, 3)]
    database.close()
    assert names == ["sub/a.png", "sub/a_000001.png", "deep.tif"]
    images = tmp_path / "out" / "images"
    assert [(images / name).read_bytes() == file.read_bytes() for name in names] == [True, True, False]
    assert cv2.imread(str(images / "deep.tif"), cv2.IMREAD_UNCHANGED).dtype == np.uint8  # as the network saw it


@pytest.mark.parametrize(("window", "loop"), [(1, 0), (2, 0), (10, 0), (1, 3), (2, 2), (4, 3)])
@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_the_number_of_pairs_is_known_beforehand(tmp_path: Path, window: int, loop: int, count: int) -> None:
    writer = DatabaseWriter(tmp_path / "out", window, loop)
    expected = writer.pairs(count)
    few = features(0).rows(np.arange(3))
    assert sum(writer.add(view(index), few) for index in range(count)) == expected
    assert writer.close().pairs == expected


def test_each_image_is_matched_with_the_window_and_every_third_with_all_such(tmp_path: Path) -> None:
    summary = write(tmp_path / "out", 7, camera(), window=1, loop=3)
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    pairs = {tuple(pycolmap.pair_id_to_image_pair(pair)) for pair in database.read_all_matches()[0]}
    assert pairs == {*((i, i + 1) for i in range(1, 7)), (1, 4), (1, 7), (4, 7)}
    a, b = features(0), features(1)
    rows = database.read_matches(1, 2)
    np.testing.assert_array_equal(a.descriptors[rows[:, 0]], b.descriptors[rows[:, 1]])
    assert summary.images == 7 and summary.pairs == summary.verified == 9
    # All matches are right, and verified as such.
    assert database.read_two_view_geometry(1, 2).inlier_matches.shape == rows.shape
    assert database.read_image(3).name == "000002.png"
    picture = cv2.imread(str(tmp_path / "out" / "images" / "000002.png"))
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture[0, 0].tolist() == [10, 20, 30]
    database.close()


def test_colmap_maps_the_database(tmp_path: Path) -> None:
    count = 8
    write(tmp_path / "out", count, camera(), window=4)
    folder, model = map_images(tmp_path / "out")
    assert folder == tmp_path / "out" / "sparse" / "0" and (folder / "images.bin").is_file()
    assert model.num_reg_images() == count and model.num_points3D() > 50
    assert model.compute_mean_reprojection_error() < 0.01  # the keypoints are exact
    summary, line = describe_model(model, count)
    assert summary.startswith("8 of 8 images registered, ") and "mean reprojection error 0.00 px" in summary
    assert line == "camera 1, 320x240: PINHOLE fx 250, fy 250, cx 160.5, cy 120.5 (as given)"
    np.testing.assert_allclose(model.cameras[1].params, [FOCAL, FOCAL, 160.5, 120.5])  # a calibration is not touched
    centres = np.array([image.projection_center() for _, image in sorted(model.images.items())])
    truth = np.array([centre(index) for index in range(count)])
    aligned = pycolmap.estimate_sim3d(centres, truth)
    np.testing.assert_allclose([aligned * point for point in centres], truth, atol=1e-3)


def test_an_estimated_camera_is_told_in_the_form_of_the_option(tmp_path: Path) -> None:
    write(tmp_path / "out", 8, None, window=4)
    model = map_images(tmp_path / "out")[1]
    model.cameras[1].params = [251.5, 160, 120, 0.0125]
    line = list(describe_model(model, 8))[1]
    option = "--camera 251.50,251.50,159.50,119.50,0.01250,0,0,0"
    assert (
        line == f"camera 1, 320x240: SIMPLE_RADIAL f 251.5, cx 160, cy 120, k 0.0125 (estimated; as an option {option})"
    )


def test_of_two_cameras_the_calibrated_one_stays_as_given(tmp_path: Path) -> None:
    writer = DatabaseWriter(tmp_path / "out", window=4)
    given = replace(camera(), matrix=MATRIX * [[1.02], [1.02], [1]])  # not quite right: COLMAP would correct it
    for index in range(8):
        each = view(index, given if index % 2 else None)
        writer.add(replace(each, image=replace(each.image, frame_id=f"camera{index % 2}")), features(index))
    writer.close()
    model = map_images(tmp_path / "out")[1]
    guessed, calibrated = list(describe_model(model, 8))[1:]
    assert "estimated; as an option --camera" in guessed and calibrated.endswith("(as given)")
    np.testing.assert_array_equal(model.cameras[2].params, [1.02 * FOCAL, 1.02 * FOCAL, 163.7, 122.9])
    assert model.cameras[1].params[0] != 1.2 * WIDTH


def test_images_that_do_not_overlap_say_so(tmp_path: Path) -> None:
    writer = DatabaseWriter(tmp_path / "out", window=1)
    for index in range(3):
        writer.add(view(index, camera()), features(0).rows(np.arange(3 * index, 3 * index + 3)))
    writer.close()
    with pytest.raises(ValueError, match="give images that overlap more, with a smaller --every"):
        map_images(tmp_path / "out")


@pytest.mark.parametrize("calibration", [camera(), None])
def test_what_cannot_be_mapped_says_what_to_try(tmp_path: Path, calibration: Camera | None) -> None:
    writer = DatabaseWriter(tmp_path / "out", window=1)
    for index in range(3):
        writer.add(view(index, calibration), features(0))  # the camera stands still
    writer.close()
    fix = "the camera must move sideways between the images: give a larger --window, or a larger --every"
    with pytest.raises(ValueError) as raised:
        map_images(tmp_path / "out")
    assert fix in str(raised.value) and ("--camera" in str(raised.value)) == (calibration is None)


def test_other_cameras_and_sizes_are_cameras_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    views = [view(0, camera()), view(1, camera(0.1, 0.0, 0.0, 0.0), size=(100, 80)), view(2, camera())]
    views.append(replace(views[0], index=3, image=replace(views[0].image, frame_id="rear"), camera=None))
    writer = DatabaseWriter(tmp_path / "out", window=3)
    for index, each in enumerate(views):
        writer.add(each, features(index))
    writer.close()
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    names = [(stored.model_name, stored.width) for stored in database.read_all_cameras()]
    assert names == [("PINHOLE", WIDTH), ("OPENCV", 100), ("SIMPLE_RADIAL", WIDTH)]
    assert [database.read_image(number).camera_id for number in (1, 2, 3, 4)] == [1, 2, 1, 3]
    database.close()
    assert ["a camera for each" in caplog.messages[0], "a guess of the focal length" in caplog.messages[1]] == [
        True,
        True,
    ]


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="choose another folder"):
        DatabaseWriter(tmp_path, window=1)
    assert not list(tmp_path.iterdir())


def test_keypoints_without_a_ray_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """COLMAP would give pixels of a fisheye beyond 90 degrees a wrong ray."""
    matrix = np.array([[70.0, 0, 160], [0, 70, 120], [0, 0, 1]])
    fisheye = Camera(WIDTH, HEIGHT, matrix, np.zeros(4), "equidistant")
    writer = DatabaseWriter(tmp_path / "out", window=1)
    for index in range(2):
        writer.add(view(index, fisheye), features(index))
    writer.close()
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    lost = 0
    for index in range(2):
        keypoints = features(index).keypoints
        known = np.linalg.norm(keypoints - matrix[:2, 2], axis=1) < 70 * np.pi / 2
        np.testing.assert_allclose(database.read_keypoints(index + 1), keypoints[known] + 0.5, atol=1e-4)
        lost += np.count_nonzero(~known)
    database.close()
    assert lost and f"{lost} keypoints were left out: the calibration has no ray" in caplog.text


@pytest.mark.parametrize(
    ("distortion", "model"),
    [
        ((-0.42, 0.10, 0, 0), "plumb_bob"),
        ((-0.3, 0.1, 0, 0, -0.02), "plumb_bob"),
        ((0.01, -0.005, 0.001, 0), "fisheye"),
    ],
)
def test_colmaps_rays_of_what_is_stored_are_those_of_the_camera(distortion: tuple[float, ...], model: str) -> None:
    """Two solvers of the same model, for lenses whose distortion is strong or folds."""
    wide = Camera(WIDTH, HEIGHT, np.array([[120.0, 0, 160], [0, 121, 120], [0, 0, 1]]), np.array(distortion), model)
    name, parameters = camera_model(wide)
    stored = pycolmap.Camera.create_from_model_name(1, name, FOCAL, WIDTH, HEIGHT)
    stored.params = parameters
    pixels = np.stack(np.meshgrid(np.arange(0, WIDTH, 8.0), np.arange(0, HEIGHT, 8.0)), axis=-1).reshape(-1, 2)
    rays = wide.rays(pixels)
    known = np.isfinite(rays).all(axis=1)
    assert known.mean() > 0.3
    np.testing.assert_allclose(rays[known, :2], stored.cam_from_img(pixels[known] + 0.5), rtol=1e-3, atol=1e-4)


def test_a_calibration_that_comes_late_is_used_and_a_second_one_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = DatabaseWriter(tmp_path / "out", window=1)
    for index, calibration in enumerate([None, camera(), camera(), camera(0.1, 0, 0, 0), camera(0.2, 0, 0, 0)]):
        writer.add(view(index, calibration), features(index))
    writer.close()
    database = pycolmap.Database.open(tmp_path / "out" / DATABASE)
    (stored,) = database.read_all_cameras()
    database.close()
    assert stored.model_name == "PINHOLE" and stored.has_prior_focal_length
    assert [record.getMessage()[:42] for record in caplog.records] == ["image 3 has another calibration than those"]


def test_skew_is_refused() -> None:
    skewed = MATRIX.copy()
    skewed[0, 1] = 2.0
    with pytest.raises(ValueError, match=r"skew, which is camera_info.k\[1\]: rectify"):
        camera_model(Camera(WIDTH, HEIGHT, skewed, np.zeros(5)))
