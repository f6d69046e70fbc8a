"""docs/messages.md against the messages themselves: its tables, and its programs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp import READ_CLOUD, compiled, output, written
from harness import ROOT
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from silk_ros import Features, Matches
from silk_ros.binary import BinaryCode
from silk_ros.descriptor_formats import encoder
from silk_ros.refinement import Patches
from silk_ros.ros import messages
from silk_ros.ros.front_end.statistics import Statistics
from silk_ros.ros.front_end.tracks import TrackMessages
from silk_ros.ros.messages import cloud_from_points, features_to_cloud, matches_to_cloud, points_from_cloud
from silk_ros.ros.odometry_node import OdometryCount
from silk_ros.ros.silk_node import NETWORK_VALUES
from silk_ros.step import Frame, Step
from silk_ros.tracker import TrackRules, Tracks

DOCUMENT = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "docs" / "examples"
BYTES = {"UINT8": 1, "UINT16": 2, "INT32": 4, "UINT32": 4, "FLOAT32": 4}

Layout = list[tuple[str, int, str, int]]  # of each field: name, offset, type, count


def section(title: str) -> str:
    return re.split(r"^## ", DOCUMENT.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.M)[0]


def tables(title: str) -> list[list[list[str]]]:
    """The rows of cells below the heads of a section's tables, without back quotes."""
    found = re.findall(r"(?:^\|.*\n)+", section(title), flags=re.M)
    rows = [[line.strip("|").replace("`", "").split("|") for line in table.splitlines()[2:]] for table in found]
    return [[[cell.strip() for cell in row] for row in table] for table in rows]


def documented(title: str) -> Layout:
    return [(row[0], int(row[1]), row[2], int(row[3])) for row in tables(title)[0]]


def layout(cloud: PointCloud2) -> Layout:
    kinds = {getattr(PointField, kind): kind for kind in BYTES}
    return [(field.name, field.offset, kinds[field.datatype], field.count) for field in cloud.fields]


def frame(stamp: int, pixels: np.ndarray, first_id: int = 0) -> Frame:
    rng = np.random.default_rng(stamp)
    descriptors = rng.normal(size=(len(pixels), 32)).astype(np.float32)
    tracks = Tracks(np.arange(first_id, first_id + len(pixels), dtype=np.uint32), np.full(len(pixels), 3, np.uint32))
    scores = np.linspace(1, 0, len(pixels), dtype=np.float32)
    return Frame(Patches(np.zeros((100, 100), np.uint8)), stamp, Features(pixels, scores, descriptors), tracks)


def header(stamp: int) -> Header:
    made = Header(frame_id="cam")
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, 10**9)
    return made


@pytest.fixture
def step() -> Step:
    """Six keypoints move by (3, 4) pixels, in reverse order and two of them unmatched; stamps beyond a second."""
    pixels = np.random.default_rng(0).uniform(0, 90, (6, 2)).astype(np.float32)
    before, now = frame(1_999_999_999, pixels), frame(2_033_333_333, pixels[::-1] + np.float32([3, 4]))
    rows = np.arange(4, dtype=np.int32)
    refined = np.array([True, True, False, True])
    matches = Matches(np.stack([rows, 5 - rows], axis=1), np.linspace(0.5, 1, 4, dtype=np.float32), refined)
    return Step(now, before, matches, inliers=np.array([True, False, True, True]))


def feature_clouds(sent: Frame) -> dict[str, PointCloud2]:
    thresholds = np.repeat([[0], [1]], 256, axis=1)
    code = BinaryCode(np.random.default_rng(0).normal(size=(32, 256)).astype(np.float32), thresholds)
    descriptors = sent.features.descriptors
    half = encoder("float16", None)(descriptors)
    encoded = {"float32": None, "float16": half, "binary256": code.encode(descriptors)}
    rays = np.arange(3 * len(descriptors), dtype=np.float32).reshape(-1, 3)
    sent = replace(sent, rays=rays)
    return {name: features_to_cloud(header(sent.stamp), sent, values) for name, values in encoded.items()}


def test_every_key_of_the_diagnostics_is_documented() -> None:
    text = section("Diagnostics")
    keys = {*Statistics().snapshot(), *NETWORK_VALUES, *(count.value for count in OdometryCount)}
    assert keys <= set(re.findall(r"`(\w+)`", text))


def test_features_lie_where_the_document_says(step: Step) -> None:
    formats = {row[0]: row[1:] for row in tables("Features")[1]}
    clouds = feature_clouds(step.frame)
    assert set(formats) == set(clouds)
    for name, cloud in clouds.items():
        offset, kind, count, size = formats[name][:4]
        descriptor = ("descriptor", int(offset), kind, int(count.replace("D", "32")))
        assert layout(cloud) == [*documented("Features"), descriptor]
        assert cloud.point_step == int(size) == descriptor[1] + BYTES[kind] * descriptor[3]


def test_matches_lie_where_the_document_says(step: Step) -> None:
    flagged, plain = (matches_to_cloud(header(1), step, flag) for flag in (True, False))
    *common, inlier, refined = documented("Matches")
    assert layout(flagged) == [*common, inlier, refined]
    assert layout(plain) == [*common, (refined[0], inlier[1], *refined[2:])]
    assert f"`refined` is at offset {inlier[1]}" in section("Matches")
    assert f" {plain.point_step} bytes" in section("Matches") and plain.point_step == flagged.point_step


def test_stereo_matches_lie_where_the_document_says() -> None:
    cloud = cloud_from_points(header(1), np.zeros(1, messages.STEREO_MATCH_DTYPE))
    assert layout(cloud) == documented("Stereo matches")
    assert f", {cloud.point_step} bytes" in section("Stereo matches")


def test_channels_of_tracks_are_in_the_documents_order(step: Step) -> None:
    rays = np.ones((6, 3), np.float32)
    fusion = TrackMessages(TrackRules(camera_id=0)).message(header(1), step.frame, rays)
    mono = TrackMessages(TrackRules()).message(header(1), step.frame, rays)
    names = [row[1] for row in tables("Tracks")[0]]
    assert [channel.name for channel in fusion.channels] == names
    assert [channel.name for channel in mono.channels] == [name for name in names if name != "camera_id"]


def test_the_python_program_joins_the_clouds(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    program: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.S)[0], program)
    assert step.previous is not None
    before = features_to_cloud(header(step.previous.stamp), step.previous)
    now = features_to_cloud(header(step.frame.stamp), step.frame)
    matches = matches_to_cloud(header(step.frame.stamp), step)
    first = matches_to_cloud(header(step.previous.stamp), Step(step.previous, None, Matches.empty()))
    program["on_features"](before)
    program["on_matches"](first)
    program["on_matches"](matches)  # before its features: topics keep no order among each other
    assert capsys.readouterr().out == ""
    program["on_features"](now)
    assert capsys.readouterr().out == "4 matches, median flow 5.0 px\n"
    points = points_from_cloud(matches)
    np.testing.assert_array_equal(points["u"], points_from_cloud(now)["u"][points["index"]])
    np.testing.assert_array_equal(points["u_prev"], points_from_cloud(before)["u"][points["index_prev"]])


# Prints the points of a cloud, and what the snippet of the document makes of them.
MAIN = """
#include <sensor_msgs/point_cloud2_iterator.hpp>
using namespace silk_ros;

template <typename T, std::size_t N>
void print(const Feature<T, N> & p) {
  std::cout << p.x << ' ' << p.y << ' ' << p.z << ' ' << p.u << ' ' << p.v << ' ' << p.score << ' ' << p.track_id;
  for (T value : p.descriptor) std::cout << ' ' << +value;
}
void print(const MatchBase & p) {
  std::cout << p.u << ' ' << p.v << ' ' << p.u_prev << ' ' << p.v_prev << ' ' << p.index << ' ' << p.index_prev << ' '
            << p.track_id << ' ' << p.similarity << ' ' << p.prev_sec << ' ' << p.prev_nanosec;
}
void print(const Match & p) { print(static_cast<const MatchBase &>(p)); std::cout << ' ' << +p.refined; }
void print(const FlaggedMatch & p) {
  print(static_cast<const MatchBase &>(p));
  std::cout << ' ' << +p.inlier << ' ' << +p.refined;
}
void print(const StereoMatch & p) {
  std::cout << p.x << ' ' << p.y << ' ' << p.z << ' ' << p.u << ' ' << p.v << ' ' << p.u_right << ' ' << p.v_right
            << ' ' << p.disparity << ' ' << p.index << ' ' << p.track_id << ' ' << p.similarity << ' ' << p.index_right
            << ' ' << p.disparity_sigma;
}
template <typename Point>
void print_all(const PointCloud2 & cloud) {
  const auto all = points<Point>(cloud);
  for (std::size_t row = 0; row < all.size(); ++row) { print(all[row]); std::cout << '\\n'; }
}
int main(int, char ** arguments) {
  const std::string kind = arguments[1];
  const PointCloud2 cloud = read_cloud();
  std::cout.precision(9);
  try {
    if (kind == "float32") print_all<Feature<>>(cloud);
    if (kind == "float16") print_all<Feature<std::uint16_t>>(cloud);
    if (kind == "binary256") print_all<Feature<std::uint8_t>>(cloud);
    if (kind == "matches") print_all<Match>(cloud);
    if (kind == "stereo") print_all<StereoMatch>(cloud);
    if (kind == "flagged") print_all<FlaggedMatch>(cloud);
    if (kind == "inliers") std::cout << inliers(cloud).size() << '\\n';
    if (kind == "iterator") std::cout << *sensor_msgs::PointCloud2ConstIterator<float>(cloud, "u") << '\\n';
  } catch (const std::invalid_argument & error) {
    std::cout << "refused: " << error.what() << '\\n';
  }
}
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    snippet = re.findall(r"```cpp\n(.*?)```", DOCUMENT, flags=re.S)[0]
    return compiled(tmp_path_factory.mktemp("cpp"), snippet + READ_CLOUD + MAIN, f"-I{EXAMPLES}")


def read(reader: Path, kind: str, cloud: PointCloud2) -> str:
    return output(reader, kind, given=written(cloud))


def values(cloud: PointCloud2) -> np.ndarray:
    """The points' values in a row each, those of a field after those of the field before."""
    points = points_from_cloud(cloud)
    columns = [points[name].reshape(len(points), -1) for name in points.dtype.names or ()]
    return np.concatenate(columns, axis=1, dtype=np.float64)


def stereo_cloud(count: int) -> PointCloud2:
    kinds = {"FLOAT32": "<f4", "UINT32": "<u4"}
    points = np.zeros(count, [(name, kinds[kind]) for name, _, kind, _ in documented("Stereo matches")])
    for place, name in enumerate(points.dtype.names or ()):
        points[name] = np.arange(count) + 100 * place
    return cloud_from_points(header(1), points)


def test_the_cpp_reader_reads_every_layout(reader: Path, step: Step) -> None:
    clouds = feature_clouds(step.frame)
    clouds |= {"matches": matches_to_cloud(header(1), step), "flagged": matches_to_cloud(header(1), step, True)}
    clouds["stereo"] = stereo_cloud(5)
    for kind, cloud in clouds.items():
        found = np.array([line.split() for line in read(reader, kind, cloud).splitlines()], np.float64)
        np.testing.assert_allclose(found, values(cloud), rtol=1e-7, err_msg=kind)


def test_the_cpp_reader_refuses_other_layouts(reader: Path, step: Step) -> None:
    plain, flagged = (matches_to_cloud(header(1), step, flag) for flag in (False, True))
    assert read(reader, "matches", flagged) == "refused: the cloud's layout differs at field refined\n"
    wider = cloud_from_points(header(1), np.zeros(2, [*messages.STEREO_MATCH_DTYPE.descr, ("further", "<f4")]))
    assert read(reader, "stereo", wider) == "refused: the cloud has further fields, or is big-endian\n"
    assert read(reader, "flagged", plain) == "refused: the cloud's layout differs at field inlier\n"
    assert read(reader, "float32", plain) == "refused: the cloud's layout differs at field x\n"
    assert "differs at field descriptor" in read(reader, "binary256", feature_clouds(step.frame)["float32"])
    plain.data = plain.data[:-1]
    assert read(reader, "matches", plain) == "refused: the cloud's size and its data disagree\n"


def test_the_cpp_snippets_of_the_document(reader: Path, step: Step) -> None:
    flagged = matches_to_cloud(header(1), step, True)
    assert read(reader, "inliers", flagged) == "3\n"
    assert float(read(reader, "iterator", flagged)) == pytest.approx(points_from_cloud(flagged)["u"][0])
