"""include/silk_ros/features.hpp, compiled against OpenCV and the headers of the messages, and run on our own clouds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cpp import READ_CLOUD, compiled, output, written
from harness import ROOT, picture
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from silk_ros import Extractor
from silk_ros.binary import binary_code
from silk_ros.descriptor_formats import FORMATS, encoder
from silk_ros.paths import default_model
from silk_ros.refinement import Patches
from silk_ros.ros.messages import NO_TRACK, STEREO_MATCH_DTYPE, cloud_from_points, features_to_cloud, points_from_cloud
from silk_ros.step import Frame
from silk_ros.tracker import Tracks

OPENCV = [path for prefix in ("/usr", "/usr/local") if (path := Path(prefix, "include", "opencv4")).is_dir()]

SNIPPET = re.findall(r"```cpp\n(.*?)```", (ROOT / "docs" / "orb_slam.md").read_text(encoding="utf-8"), flags=re.S)[0]

# Prints the keypoints and descriptors of a cloud, its right views, or the stamps that a join completes.
MAIN = """
#include <iostream>
using namespace silk_ros;

void print_features(float angle) {
  const CvFeatures features = cv_features(read_cloud(), angle);
  const cv::Mat & all = features.descriptors;
  const std::string type = all.type() == CV_8U ? "CV_8U" : all.type() == CV_32F ? "CV_32F" : "?";
  std::cout << all.rows << ' ' << all.cols << ' ' << type;
  for (int row = 0; row < all.rows; ++row) {
    const cv::KeyPoint & point = features.keypoints[row];
    std::cout << '\\n' << point.pt.x << ' ' << point.pt.y << ' ' << point.size << ' ' << point.angle << ' '
              << point.response << ' ' << point.octave << ' ' << point.class_id;
    for (int column = 0; column < all.cols; ++column) {
      std::cout << ' ' << (all.type() == CV_8U ? all.at<std::uint8_t>(row, column) : all.at<float>(row, column));
    }
  }
}
void print_right_views(std::size_t count) {
  for (const RightView & view : right_views(read_cloud(), count)) {
    std::cout << view.row << ' ' << view.u << ' ' << view.depth << '\\n';
  }
}
void print_joined() {
  StampJoin<Image, PointCloud2> join(3);
  int place, sec;
  unsigned nanosec;
  while (std::cin >> place >> sec >> nanosec) {
    auto image = std::make_shared<Image>();
    auto cloud = std::make_shared<PointCloud2>();
    image->header.stamp.sec = cloud->header.stamp.sec = sec;
    image->header.stamp.nanosec = cloud->header.stamp.nanosec = nanosec;
    const auto pair = place == 0 ? join.add<0>(image) : join.add<1>(cloud);
    if (pair) std::cout << std::get<0>(*pair)->header.stamp.sec << ' ' << std::get<1>(*pair)->header.stamp.sec << '\\n';
  }
  std::cout << join.incomplete() << " incomplete\\n";
}
int main(int, char ** arguments) {
  const std::string kind = arguments[1];
  std::cout.precision(9);
  try {
    if (kind == "features") print_features(std::stof(arguments[2]));
    if (kind == "right") print_right_views(std::stoul(arguments[2]));
    if (kind == "join") print_joined();
  } catch (const std::invalid_argument & error) {
    std::cout << "refused: " << error.what();
  }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not OPENCV:
        pytest.skip("no C++ headers of OpenCV: apt install libopencv-dev")
    options = (f"-I{ROOT / 'include'}", f"-isystem{OPENCV[0]}", "-lopencv_core")
    return compiled(tmp_path_factory.mktemp("cpp"), SNIPPET + READ_CLOUD + MAIN, *options)


@pytest.fixture(scope="module")
def frame() -> Frame:
    """A frame of a photograph; some tracks are those of right keypoints without a match."""
    features = Extractor.load(max_keypoints=200, precision="fp32")(picture())
    ids = np.arange(len(features), dtype=np.uint32)
    ids[::3] = NO_TRACK
    return Frame(Patches(picture()), 1, features, Tracks(ids, np.ones(len(features), np.uint32)))


def cloud_of(frame: Frame, descriptor_format: str) -> PointCloud2:
    code = binary_code(default_model())
    encode = code.encode if descriptor_format == "binary256" else encoder(descriptor_format, None)
    return features_to_cloud(Header(), frame, encode(frame.features.descriptors) if encode else None)


def read(program: Path, cloud: PointCloud2, angle: float = -1.0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Size and type of the descriptors, the keypoints (N, 7) and the descriptors (N, D) that the header makes."""
    head, *lines = output(program, "features", str(angle), given=written(cloud)).split("\n")
    values = np.array([line.split() for line in lines], np.float64)
    return head.split(), values[:, :7], values[:, 7:]


@pytest.mark.parametrize("descriptor_format", FORMATS)
def test_keypoints_and_descriptors_equal_those_of_the_cloud(
    program: Path, frame: Frame, descriptor_format: str
) -> None:
    cloud = cloud_of(frame, descriptor_format)
    points = points_from_cloud(cloud)
    head, keypoints, descriptors = read(program, cloud)
    binary = descriptor_format == "binary256"
    assert head == ["200", "32", "CV_8U" if binary else "CV_32F"]
    np.testing.assert_array_equal(keypoints[:, :2].astype(np.float32), frame.features.keypoints)
    np.testing.assert_array_equal(keypoints[:, 4].astype(np.float32), frame.features.scores)
    np.testing.assert_array_equal(keypoints[:, [2, 3, 5]], np.tile([31.0, -1.0, 0.0], (200, 1)))
    np.testing.assert_array_equal(keypoints[:, 6], frame.tracks.ids.astype(np.int32))
    expected = points["descriptor"].view(np.float16) if descriptor_format == "float16" else points["descriptor"]
    np.testing.assert_array_equal(descriptors.astype(np.float32), expected.astype(np.float32))
    assert read(program, cloud, angle=0.0)[1][:, 3].max() == 0.0


def other_layout(cloud: PointCloud2, order: str) -> PointCloud2:
    """The same points in two rows with gaps, their fields in another order with gaps, in a byte order (< or >)."""
    points = points_from_cloud(cloud).reshape(2, -1)
    fields, offset, formats = {}, 5, {}
    for field in reversed(cloud.fields):
        fields[field.name], formats[field.name] = offset, points.dtype[field.name].newbyteorder(order)
        offset += formats[field.name].itemsize + 3
    layout = {"names": list(fields), "formats": list(formats.values()), "offsets": list(fields.values())}
    rows = np.zeros((2, points.shape[1] * offset + 11), np.uint8)
    for row, given in zip(rows, points):
        target = row[: len(given) * offset].view(np.dtype({**layout, "itemsize": offset}))  # type: ignore[call-overload]
        for name in fields:
            target[name] = given[name]
    described = [
        PointField(name=field.name, offset=fields[field.name], datatype=field.datatype, count=field.count)
        for field in reversed(cloud.fields)
    ]
    return PointCloud2(
        height=2,
        width=points.shape[1],
        fields=described,
        is_bigendian=order == ">",
        point_step=offset,
        row_step=rows.shape[1],
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("descriptor_format", FORMATS)
def test_offsets_steps_and_byte_order_are_those_of_the_message(
    program: Path, frame: Frame, descriptor_format: str, order: str
) -> None:
    cloud = cloud_of(frame, descriptor_format)
    for found, expected in zip(read(program, other_layout(cloud, order)), read(program, cloud)):
        np.testing.assert_array_equal(found, expected)


def test_no_keypoints_are_no_rows_of_the_same_size_and_type(program: Path, frame: Frame) -> None:
    nothing = np.empty(0, np.intp)
    empty = replace(frame, features=frame.features.rows(nothing), tracks=frame.tracks.rows(nothing))
    for descriptor_format in FORMATS:
        size = "0 32 CV_8U" if descriptor_format == "binary256" else "0 32 CV_32F"
        assert output(program, "features", "0", given=written(cloud_of(empty, descriptor_format))) == size


def refused(program: Path, cloud: PointCloud2, kind: str = "features") -> str:
    text = output(program, kind, "0", given=written(cloud))
    assert text.startswith("refused: ")
    return text


def test_other_layouts_are_refused_with_the_field_and_the_remedy(program: Path, frame: Frame) -> None:
    def changed(of: str, **values: int | str) -> PointCloud2:
        cloud = cloud_of(frame, "float32")
        (field,) = (field for field in cloud.fields if field.name == of)
        for attribute, value in values.items():
            setattr(field, attribute, value)
        return cloud

    matches = cloud_from_points(Header(), np.zeros(3, STEREO_MATCH_DTYPE))
    assert "no field score: check which topic" in refused(program, matches)
    assert "no field track_id" in refused(program, changed("track_id", name="id"))
    assert "field u has datatype 8 and count 1" in refused(program, changed("u", datatype=PointField.FLOAT64))
    assert "field v has datatype 7 and count 2" in refused(program, changed("v", count=2))
    assert "descriptor_format" in refused(program, changed("descriptor", datatype=PointField.FLOAT64))
    assert "descriptor_format" in refused(program, changed("descriptor", datatype=PointField.UINT8, count=31))
    assert "field descriptor ends beyond point_step" in refused(program, changed("descriptor", count=33))
    assert "no field index" in refused(program, cloud_of(frame, "float32"), "right")
    short = cloud_of(frame, "float32")
    short.data = short.data[:-1]
    assert "disagree" in refused(program, short)


def test_right_views_are_rows_of_the_right_features(program: Path) -> None:
    points = np.zeros(3, STEREO_MATCH_DTYPE)
    points["index"], points["index_right"] = [4, 0, 2], [7, 1, 3]
    points["u_right"], points["z"] = [10.5, 20.25, 30.0], [2.5, np.nan, 4.0]
    given = written(cloud_from_points(Header(), points))
    found = np.array([line.split() for line in output(program, "right", "5", given=given).splitlines()], float)
    none = [-1, -1, -1]
    np.testing.assert_array_equal(found, [[1, 20.25, -1], none, [3, 30, 4], none, [7, 10.5, 2.5]])
    assert "join the clouds by their stamps" in output(program, "right", "4", given=given)


def joined(program: Path, *messages: tuple[int, int]) -> list[str]:
    """Lines for messages, each of a place and a stamp in seconds."""
    given = "".join(f"{place} {stamp} 7\n" for place, stamp in messages)
    return output(program, "join", given=given.encode()).splitlines()


def test_messages_of_equal_stamps_are_joined(program: Path) -> None:
    image, cloud = 0, 1
    assert joined(program, (image, 1), (cloud, 1), (cloud, 2), (image, 2)) == ["1 1", "2 2", "0 incomplete"]
    # The node is slower than the camera: it skips images.
    assert joined(program, (image, 1), (image, 2), (image, 3), (cloud, 3)) == ["3 3", "2 incomplete"]
    # A recording starts anew: older stamps are not waited for behind newer ones.
    again = [(image, 90), (image, 91), (image, 92), (image, 1), (cloud, 1), (image, 2), (cloud, 2)]
    assert joined(program, *again) == ["1 1", "2 2", "3 incomplete"]
    # Only the capacity of three waits.
    assert joined(program, *((image, stamp) for stamp in range(5)), (cloud, 0)) == ["3 incomplete"]
