import pytest
from harness import camera_info
from sensor_msgs.msg import CameraInfo

from silk_ros.cameras import WINDOW, StreamWatch
from silk_ros.ros.node.calibration import Calibration, StereoCalibration


def test_topic_is_named_until_a_camera_info_comes() -> None:
    calibration = Calibration("/cam/camera_info")
    assert not calibration.received
    with pytest.raises(ValueError, match="/cam/camera_info"):
        calibration.of((120, 160))


def test_images_of_another_size_have_no_intrinsics() -> None:
    calibration = Calibration("camera_info")
    assert calibration.update(camera_info(160, 120))
    assert calibration.of((120, 160)).width == 160
    with pytest.raises(ValueError, match="160x120 images, but they are 320x240"):
        calibration.of((240, 320))


def test_unusable_camera_info_takes_the_last_one_away_and_is_reported_once() -> None:
    calibration = Calibration("camera_info")
    calibration.update(camera_info())
    bad = camera_info(focal_length=0.0)
    assert [calibration.update(bad), calibration.update(bad)] == [False, True]
    with pytest.raises(ValueError, match="not calibrated"):
        calibration.of((120, 160))


def test_change_of_the_region_of_interest_is_noticed() -> None:
    calibration = Calibration("camera_info")
    info = camera_info()
    calibration.update(info)
    info.roi.width, info.roi.height = 80, 60
    calibration.update(info)
    assert calibration.of((60, 80)).width == 80


def test_geometry_of_a_pair_is_remade_only_when_a_camera_changes() -> None:
    left, right = Calibration("left/camera_info"), Calibration("right/camera_info")
    pair = StereoCalibration(left, right)
    info = camera_info()
    left.update(info)
    info.p = [100.0, 0.0, 79.5, -50.0, 0.0, 100.0, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    right.update(info)
    geometry = pair.of((120, 160), (120, 160))
    assert geometry.baseline == pytest.approx(0.5) and pair.of((120, 160), (120, 160)) is geometry
    info.p[3] = -20.0
    right.update(info)
    assert pair.of((120, 160), (120, 160)).baseline == pytest.approx(0.2)


def info_of(frame_id: str, **changes: object) -> CameraInfo:
    info = camera_info(**changes)
    info.header.frame_id = frame_id
    return info


@pytest.mark.parametrize("frame_id", ["", "camera", "camera_info_of_another_name"])
def test_camera_info_of_one_frame_id_is_that_of_all_images(frame_id: str) -> None:
    calibration = Calibration("camera_info")
    calibration.update(info_of(frame_id))
    assert calibration.of((120, 160), "camera").matrix[0, 0] == 100


def test_cameras_that_share_a_topic_keep_their_calibrations() -> None:
    calibration = Calibration("/camera_info")
    for _ in range(2):
        assert calibration.update(info_of("front")) and calibration.update(info_of("rear", focal_length=200.0))
    front = calibration.camera("front")
    assert (front.matrix[0, 0], calibration.camera("rear").matrix[0, 0]) == (100, 200)
    calibration.update(info_of("front"))
    assert calibration.camera("front") is front  # made once
    with pytest.raises(ValueError, match=r"/camera_info is of 'rear', 'front', but .* of 'top': give images"):
        calibration.camera("top")


def test_unusable_camera_info_costs_the_rays_of_its_own_camera_only() -> None:
    calibration = Calibration("camera_info")
    calibration.update(info_of("front"))
    assert not calibration.update(info_of("rear", focal_length=0.0)) and "not calibrated" in calibration.problem
    assert calibration.camera("front").width == 160
    with pytest.raises(ValueError, match="not calibrated"):
        calibration.camera("rear")


def test_cameras_of_long_ago_are_forgotten() -> None:
    calibration = Calibration("camera_info")
    for number in range(20):
        calibration.update(info_of(str(number), focal_length=100.0 + number))
    assert calibration.camera("19").matrix[0, 0] == 119 and calibration.camera("4").matrix[0, 0] == 104
    with pytest.raises(ValueError, match="'4', '5', '6', '7' and 12 more, but"):
        calibration.camera("3")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("silk_ros.ros.node.calibration.monotonic", lambda: now[0])
    return now


def watched(clock: list[float], *frame_ids: str) -> StreamWatch:
    watch = StreamWatch()
    for stamp, frame_id in enumerate(frame_ids):
        watch.take(clock[0], frame_id, stamp)
    return watch


def test_of_several_cameras_each_needs_a_camera_info_of_its_own(clock: list[float]) -> None:
    """Those of another name too, and those whose first images come before their camera_info."""
    calibration = Calibration("/camera_info", images=watched(clock, "front", "rear"))
    calibration.update(info_of("front"))
    with pytest.raises(ValueError, match="/camera_info is of 'front', but the images are of 'rear': give images and"):
        calibration.camera("rear")
    calibration.update(info_of("rear", focal_length=200.0))
    assert [calibration.camera(name).matrix[0, 0] for name in ("front", "rear")] == [100, 200]
    other = Calibration("/camera_info", images=watched(clock, "front", "rear"))
    other.update(info_of("optical"))
    for name in ("front", "rear"):
        with pytest.raises(ValueError, match="is of 'optical', but"):
            other.camera(name)


def test_a_camera_that_takes_the_place_of_another_does_not_get_its_calibration(clock: list[float]) -> None:
    images = watched(clock, "front")
    calibration = Calibration("camera_info", images=images)
    calibration.update(info_of("front"))
    assert calibration.camera("front")
    for later in (1, WINDOW, 100):
        clock[0] += later
        images.take(clock[0], "rear", 1)
        with pytest.raises(ValueError, match="is of 'front', but the images are of 'rear'"):
            calibration.camera("rear")


def test_camera_info_that_changes_its_name_serves_the_images_of_another_name_again(clock: list[float]) -> None:
    calibration = Calibration("camera_info", images=watched(clock, *["optical"] * 3))
    calibration.update(info_of("left"))
    assert calibration.camera("optical").matrix[0, 0] == 100
    clock[0] += 1
    calibration.update(info_of("left2", focal_length=200.0))
    with pytest.raises(ValueError, match="is of 'left', 'left2', but the images are of 'optical'"):
        calibration.camera("optical")
    clock[0] += WINDOW
    calibration.update(info_of("left2", focal_length=200.0))
    assert calibration.camera("optical").matrix[0, 0] == 200


def test_camera_info_that_came_once_is_kept(clock: list[float]) -> None:
    alone, shared = Calibration("camera_info"), Calibration("camera_info", images=watched(clock, "front", "rear"))
    alone.update(info_of("left"))
    shared.update(info_of("front"))
    clock[0] += 10 * WINDOW
    shared.update(info_of("rear", focal_length=200.0))
    assert alone.camera("optical").matrix[0, 0] == 100
    assert [shared.camera(name).matrix[0, 0] for name in ("front", "rear")] == [100, 200]


def test_a_driver_that_counts_in_the_frame_id_has_its_newest_calibration(clock: list[float]) -> None:
    calibration = Calibration("camera_info", images=watched(clock, *map(str, range(30))))
    for number in range(29):
        calibration.update(info_of(str(number), focal_length=100.0 + number))
    assert [calibration.camera(name).matrix[0, 0] for name in ("28", "29")] == [128, 128]


def test_of_rectified_images_p_holds() -> None:
    info = camera_info()
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    info.p = [80.0, 0.0, 79.5, -40.0, 0.0, 80.0, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    raw, rectified = Calibration("camera_info"), Calibration("camera_info", rectified=True)
    for calibration in (raw, rectified):
        assert calibration.update(info)
    pixels = [[159.5, 59.5]]
    assert rectified.camera("").rays(pixels)[0] == pytest.approx([1, 0, 1])
    assert raw.camera("").rays(pixels)[0, 0] != pytest.approx(0.8, abs=0.01)
    pair = StereoCalibration(Calibration("left", rectified=True), rectified)
    info.p[3] = 0.0
    pair.left.update(info)
    assert pair.of((120, 160), (120, 160)).baseline == pytest.approx(0.5)
