import cv2
import numpy as np
import pytest
from harness import camera_info, image_message, picture
from sensor_msgs.msg import CameraInfo, CompressedImage, RegionOfInterest

from silk_ros.geometry.camera import camera_from_message
from silk_ros.images.gray import ENCODINGS
from silk_ros.images.value_range import ValueRange
from silk_ros.ros.front_end.images import CV_BRIDGE, gray_from_compressed, gray_from_message, mask_from_message


def random_message(encoding: str) -> object:
    layout = ENCODINGS[encoding]
    dtype = np.uint16 if layout.bits == 16 else np.uint8
    shape = (24, 32) if layout.channels == 1 else (24, 32, layout.channels)
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    return image_message(values, encoding=encoding)


@pytest.mark.skipif(CV_BRIDGE is None, reason="cv_bridge comes with a ROS installation, which this machine lacks")
@pytest.mark.parametrize("encoding", [name for name, layout in ENCODINGS.items() if not layout.chroma])
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


def binned_pair(x_offset: int, y_offset: int, binning: int) -> tuple[CameraInfo, np.ndarray, np.ndarray]:
    """A camera_info, and pixels of the sensor and of the binned region that are the same points.

    A binned pixel is made of binning x binning of the sensor's, so its centre is amid them.
    """
    message = camera_info(160, 120, focal_length=100.0)
    message.p = np.column_stack([np.reshape(message.k, (3, 3)), [-20.0, 0, 0]]).ravel()
    message.roi = RegionOfInterest(x_offset=x_offset, y_offset=y_offset, width=80, height=60)
    message.binning_x = message.binning_y = binning
    pixels = np.array([[0, 0], [3, 5], [10, 2]])
    covered = np.arange(binning)
    full = [[np.mean(x_offset + binning * x + covered), np.mean(y_offset + binning * y + covered)] for x, y in pixels]
    return message, np.array(full), pixels


@pytest.mark.parametrize(("x_offset", "y_offset", "binning"), [(0, 0, 1), (32, 16, 1), (0, 0, 2), (10, 7, 4)])
def test_region_and_binning_move_the_pixels_but_not_the_rays(x_offset: int, y_offset: int, binning: int) -> None:
    message, full_pixels, pixels = binned_pair(x_offset, y_offset, binning)
    camera, full = camera_from_message(message), camera_from_message(camera_info(160, 120, focal_length=100.0))
    assert (camera.width, camera.height) == (80 // binning, 60 // binning)
    np.testing.assert_allclose(camera.rays(pixels), full.rays(full_pixels), atol=1e-6)
    # The rectified camera is moved with it, and a baseline stays as many metres.
    np.testing.assert_allclose(camera.projection[:, :3], camera.matrix)
    assert -camera.projection[0, 3] / camera.projection[0, 0] == pytest.approx(0.2)


def test_a_region_of_zeros_is_the_full_image() -> None:
    camera = camera_from_message(camera_info())
    assert (camera.width, camera.height) == (160, 120)


def test_a_region_outside_the_image_is_refused() -> None:
    message = camera_info(160, 120)
    message.roi = RegionOfInterest(x_offset=100, width=80, height=60)
    with pytest.raises(ValueError, match=r"region of interest .* not inside its 160x120 pixels: fix 'roi'"):
        camera_from_message(message)


def test_rectification_and_projection_are_read() -> None:
    message = camera_info()
    message.r, message.p = np.arange(9.0), np.arange(12.0)
    camera = camera_from_message(message)
    np.testing.assert_array_equal(camera.rectification.ravel(), np.arange(9))
    np.testing.assert_array_equal(camera.projection.ravel(), np.arange(12))


@pytest.mark.parametrize("kind", ["png", "mono8; png compressed"])
def test_a_compressed_message_becomes_its_image(kind: str) -> None:
    data = cv2.imencode(".png", picture())[1].tobytes()
    np.testing.assert_array_equal(gray_from_compressed(CompressedImage(format=kind, data=data)), picture())


def test_a_depth_image_is_refused() -> None:
    data = cv2.imencode(".png", picture())[1].tobytes()
    with pytest.raises(ValueError, match="which is depth: remap to the topic"):
        gray_from_compressed(CompressedImage(format="16UC1; compressedDepth png", data=data))


def test_an_empty_compressed_message_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        gray_from_compressed(CompressedImage(format="jpeg"))


def twelve_bits(view: np.ndarray) -> np.ndarray:
    """What a 12-bit sensor sees, in 16 bits."""
    return view.astype(np.uint16) * 16


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "bayer_rggb16", "bgr16"])
def test_sixteen_bits_take_the_numpy_conversion_whether_or_not_there_is_a_bridge(encoding: str) -> None:
    class Bridge:
        def imgmsg_to_cv2(self, message: object, desired_encoding: str) -> np.ndarray:
            raise AssertionError("cv_bridge scales by the full range of 16 bits")

    view = twelve_bits(picture())
    message = image_message(np.dstack([view] * 3) if encoding == "bgr16" else view, encoding=encoding)
    grays = [gray_from_message(message, bridge, ValueRange()) for bridge in (Bridge(), None)]
    np.testing.assert_array_equal(*grays)
    assert np.ptp(grays[0]) > 200


def test_the_range_of_a_stream_stays_when_an_image_is_dark() -> None:
    bright, dark = (image_message(twelve_bits(view), encoding="mono16") for view in (picture(), picture() // 8))
    stream = ValueRange()
    levels = [np.ptp(gray_from_message(message, None, stream)) for message in (bright, dark)]
    assert levels[1] < levels[0] / 4


def test_compressed_sixteen_bits_have_the_range_of_the_stream_too() -> None:
    stream, view = ValueRange(), twelve_bits(picture())
    data = cv2.imencode(".png", view)[1].tobytes()
    gray = gray_from_compressed(CompressedImage(format="mono16; png compressed ", data=data), stream)
    np.testing.assert_array_equal(gray, gray_from_message(image_message(view, encoding="mono16"), None, ValueRange()))


@pytest.mark.parametrize("suffix, tolerance", [(".png", 0), (".jpg", 12)])
def test_a_mosaic_inside_a_compressed_image_becomes_grey(suffix: str, tolerance: int) -> None:
    mosaic = picture()
    mosaic[::2, 1::2] //= 2  # the green of one row in two
    mosaic[1::2, ::2] //= 2
    data = cv2.imencode(suffix, mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    kind = {".png": "png", ".jpg": "jpeg"}[suffix]
    gray = gray_from_compressed(CompressedImage(format=f"bayer_rggb8; {kind} compressed ", data=data))
    expected = gray_from_message(image_message(mosaic, encoding="bayer_rggb8"), None)
    assert np.abs(gray.astype(int) - expected).max() <= tolerance
    assert np.abs(gray.astype(int) - mosaic).max() > 40


@pytest.mark.parametrize("values, encoding", [(np.uint8, "mono8"), (np.uint16, "mono16"), (np.uint8, "8UC1")])
def test_mask_is_what_is_not_zero_whatever_its_depth(values: type, encoding: str) -> None:
    mask = np.zeros((4, 6), values)
    mask[1:3, 2:] = 1
    np.testing.assert_array_equal(mask_from_message(image_message(mask, encoding=encoding)), 255 * (mask > 0))


def test_mask_in_colour_or_all_black_is_refused() -> None:
    with pytest.raises(ValueError, match="mono8"):
        mask_from_message(image_message(np.ones((4, 6, 3), np.uint8), encoding="bgr8"))
    with pytest.raises(ValueError, match="black"):
        mask_from_message(image_message(np.zeros((4, 6), np.uint8)))
