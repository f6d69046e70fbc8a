import pytest
from harness import camera_info

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
