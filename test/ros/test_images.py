import numpy as np
import pytest
from harness import camera_info, image_message, picture

from silk_ros.image import ENCODINGS
from silk_ros.ros.images import CV_BRIDGE, camera_from_message, gray_from_message


def random_message(encoding: str) -> object:
    layout = ENCODINGS[encoding]
    dtype = np.uint16 if layout.bits == 16 else np.uint8
    shape = (24, 32) if layout.channels == 1 else (24, 32, layout.channels)
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    return image_message(values, encoding=encoding)


@pytest.mark.skipif(CV_BRIDGE is None, reason="cv_bridge comes with a ROS installation, which this machine lacks")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cv_bridge_and_numpy_give_the_same_image(encoding: str) -> None:
    message = random_message(encoding)
    np.testing.assert_array_equal(gray_from_message(message, CV_BRIDGE), gray_from_message(message, None))


def test_numpy_conversion_of_a_grey_message_is_exact() -> None:
    np.testing.assert_array_equal(gray_from_message(image_message(picture()), None), picture())


def test_bridge_receives_the_canonical_encoding_and_its_result_is_used() -> None:
    class Bridge:
        def imgmsg_to_cv2(self, message: object, desired_encoding: str) -> np.ndarray:
            self.encoding = message.encoding
            assert desired_encoding == "mono8"
            return np.full((120, 160), 9, np.uint8)

    bridge = Bridge()
    assert (gray_from_message(image_message(picture(), encoding="8UC1"), bridge) == 9).all()
    assert bridge.encoding == "mono8"
    with pytest.raises(ValueError, match="unknown image encoding"):
        gray_from_message(image_message(picture(), encoding="nonsense"), bridge)


def test_images_that_cv_bridge_misreads_take_the_numpy_conversion() -> None:
    class Bridge:
        def imgmsg_to_cv2(self, message: object, desired_encoding: str) -> np.ndarray:
            raise AssertionError("padded and big-endian images must not reach cv_bridge")

    padded = np.pad(picture(), ((0, 0), (0, 40)))
    np.testing.assert_array_equal(gray_from_message(image_message(padded, width=160), Bridge()), picture())
    swapped = (picture().astype(np.uint16) * 257).astype(">u2")
    message = image_message(swapped, encoding="mono16", is_bigendian=1)
    np.testing.assert_array_equal(gray_from_message(message, Bridge()), picture())


def test_camera_info_becomes_intrinsics() -> None:
    camera = camera_from_message(camera_info(focal_length=100.0))
    np.testing.assert_allclose(camera.rays([[79.5, 59.5], [179.5, 59.5]]), [[0, 0, 1], [1, 0, 1]], atol=1e-6)


def test_uncalibrated_camera_info_is_refused() -> None:
    with pytest.raises(ValueError, match="not calibrated"):
        camera_from_message(camera_info(focal_length=0.0))
