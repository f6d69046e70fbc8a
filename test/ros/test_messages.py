from dataclasses import replace

import numpy as np
import pytest
from std_msgs.msg import Header

from silk_ros import Features, Matches
from silk_ros.refinement import Patches
from silk_ros.ros.messages import (
    NO_TRACK,
    cloud_from_points,
    features_from_cloud,
    features_to_cloud,
    matches_from_cloud,
    matches_to_cloud,
    points_from_cloud,
    right_features_to_cloud,
    stereo_matches_to_cloud,
)
from silk_ros.step import Frame, Step
from silk_ros.stereo import StereoMatches, StereoPair
from silk_ros.tracker import Tracks


def frame(count: int, stamp: int = 0, dim: int = 32) -> Frame:
    rng = np.random.default_rng(count)
    descriptors = rng.normal(size=(count, dim)).astype(np.float32)
    features = Features(rng.uniform(0, 100, (count, 2)), np.linspace(1, 0, count), descriptors)
    return Frame(
        Patches(np.zeros((100, 100), np.uint8)),
        stamp,
        features,
        Tracks(np.arange(count, dtype=np.uint32) + 7, np.ones(count, np.uint32)),
    )


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.parametrize("dim", [32, 128])
def test_features_survive_the_message(count: int, dim: int) -> None:
    sent = frame(count, dim=dim)
    cloud = features_to_cloud(Header(frame_id="cam"), replace(sent, rays=np.ones((count, 3), np.float32)))
    received = features_from_cloud(cloud)
    np.testing.assert_array_equal(received.keypoints, sent.features.keypoints)
    np.testing.assert_array_equal(received.scores, sent.features.scores)
    np.testing.assert_array_equal(received.descriptors, sent.features.descriptors)
    np.testing.assert_array_equal(points_from_cloud(cloud)["track_id"], sent.tracks.ids)
    assert (cloud.header.frame_id, cloud.width, cloud.height, cloud.is_dense) == ("cam", count, 1, True)


def test_feature_fields_lie_where_a_c_program_expects_them() -> None:
    cloud = features_to_cloud(Header(), frame(3))
    layout = {field.name: (field.offset, field.datatype, field.count) for field in cloud.fields}
    assert layout == {
        "x": (0, 7, 1),
        "y": (4, 7, 1),
        "z": (8, 7, 1),
        "u": (12, 7, 1),
        "v": (16, 7, 1),
        "score": (20, 7, 1),
        "track_id": (24, 6, 1),
        "descriptor": (28, 7, 32),
    }
    assert (cloud.point_step, cloud.row_step, len(cloud.data)) == (156, 468, 468)
    assert np.frombuffer(cloud.data, "<u4")[6] == 7
    assert not cloud.is_dense and np.isnan(points_from_cloud(cloud)["x"]).all()


def test_match_fields_lie_where_a_c_program_expects_them() -> None:
    matches = Matches([[2, 0], [1, 3]], [0.9, 0.8])
    now, before = frame(3, stamp=2 * 10**9), frame(4, stamp=1_500_000_000)
    cloud = matches_to_cloud(Header(), Step(now, before, matches))
    layout = [(field.name, field.offset, field.datatype) for field in cloud.fields]
    assert layout == [
        ("u", 0, 7),
        ("v", 4, 7),
        ("u_prev", 8, 7),
        ("v_prev", 12, 7),
        ("index", 16, 6),
        ("index_prev", 20, 6),
        ("track_id", 24, 6),
        ("similarity", 28, 7),
        ("prev_sec", 32, 5),
        ("prev_nanosec", 36, 6),
        ("refined", 40, 2),
    ]
    assert (cloud.point_step, len(cloud.data)) == (44, 88), "points stay aligned"
    points = points_from_cloud(cloud)
    assert points["prev_sec"].tolist() == [1, 1] and points["prev_nanosec"].tolist() == [500_000_000] * 2
    np.testing.assert_array_equal(points["u_prev"], before.features.keypoints[[0, 3], 0])
    np.testing.assert_array_equal(points["track_id"], now.tracks.ids[[2, 1]])
    received = matches_from_cloud(cloud)
    np.testing.assert_array_equal(received.indices, matches.indices)
    np.testing.assert_array_equal(received.similarity, matches.similarity)


def test_no_previous_frame_gives_an_empty_cloud_with_all_fields() -> None:
    cloud = matches_to_cloud(Header(), Step(frame(3), None, Matches.empty()))
    assert (cloud.width, len(cloud.fields), len(cloud.data)) == (0, 11, 0)
    assert len(matches_from_cloud(cloud)) == 0


def test_reading_does_not_copy() -> None:
    cloud = cloud_from_points(Header(), np.zeros(4, [("a", "<f4"), ("b", "<u4")]))
    points = points_from_cloud(cloud)
    cloud.data[0] = 255
    assert points["a"].view(np.uint32)[0] == 255


def test_cloud_with_missing_bytes_is_refused() -> None:
    cloud = cloud_from_points(Header(), np.zeros(4, [("a", "<f4")]))
    cloud.data = cloud.data[:-1]
    with pytest.raises(ValueError, match="bytes of data"):
        points_from_cloud(cloud)


def test_flagged_matches_have_a_further_field_that_tells() -> None:
    matches = Matches([[2, 0], [1, 3]], [0.9, 0.8], [False, True])
    step = Step(frame(3, 10), frame(4, 5), matches, inliers=np.array([True, False]))
    cloud = matches_to_cloud(Header(), step, flagged=True)
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields[-2:]] == [
        ("inlier", 40, 2),
        ("refined", 41, 2),
    ]
    assert cloud.point_step == 44
    points = points_from_cloud(cloud)
    assert points["inlier"].tolist() == [1, 0] and points["index"].tolist() == [2, 1]
    assert points["refined"].tolist() == [0, 1]
    plain = matches_to_cloud(Header(), step)
    assert "inlier" not in [field.name for field in plain.fields]


def test_matches_tell_which_are_refined() -> None:
    now, before = frame(5, 10), frame(4, 5)
    matches = Matches([[0, 1], [2, 0], [3, 2], [4, 3]], [0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    step = Step(now, before, matches)
    received = matches_from_cloud(matches_to_cloud(Header(), step))
    assert received.refined is not None and received.refined.tolist() == [True, False, True, False]
    part, rows = step.published(3, np.array([0, 1, 3]))  # the third match is of a row that was not handed out
    received = matches_from_cloud(matches_to_cloud(Header(), part))
    assert rows.tolist() == [0, 2, 4] and received.indices.tolist() == [[0, 1], [1, 0], [2, 2]]
    assert received.refined is not None and received.refined.tolist() == [True, False, False]


def test_matches_that_were_not_refined_are_on_the_grid() -> None:
    cloud = matches_to_cloud(Header(), Step(frame(3, 10), frame(4, 5), Matches([[2, 0]], [0.9])))
    assert points_from_cloud(cloud)["refined"].tolist() == [0]


def test_matches_of_an_earlier_version_are_read() -> None:
    old = np.zeros(2, [("index", "<u4"), ("index_prev", "<u4"), ("similarity", "<f4")])
    received = matches_from_cloud(cloud_from_points(Header(), old))
    assert len(received) == 2 and received.refined is None


def stereo_matches(points: float) -> StereoMatches:
    indices = np.array([[1, 4], [3, 0]], np.int32)
    disparity, similarity = np.array([8.0, 5.0], np.float32), np.array([0.9, 0.7], np.float32)
    sigma = np.array([0.1, 0.4], np.float32)
    return StereoMatches(indices, similarity, disparity, np.full((2, 3), points, np.float32), sigma)


def test_stereo_matches_survive_the_message() -> None:
    left, right = frame(6), frame(5).features
    cloud = stereo_matches_to_cloud(Header(frame_id="left"), left, StereoPair(right, stereo_matches(points=2.5), None))
    points = points_from_cloud(cloud)
    assert (cloud.header.frame_id, cloud.width, cloud.is_dense) == ("left", 2, True)
    np.testing.assert_array_equal(np.stack([points["u"], points["v"]], axis=1), left.features.keypoints[[1, 3]])
    np.testing.assert_array_equal(np.stack([points["u_right"], points["v_right"]], axis=1), right.keypoints[[4, 0]])
    np.testing.assert_array_equal(points["disparity"], [8, 5])
    np.testing.assert_array_equal(points["index"], [1, 3])
    np.testing.assert_array_equal(points["track_id"], left.tracks.ids[[1, 3]])
    np.testing.assert_allclose(points["similarity"], [0.9, 0.7])
    np.testing.assert_array_equal(points["index_right"], [4, 0])
    np.testing.assert_allclose(points["disparity_sigma"], [0.1, 0.4])
    np.testing.assert_array_equal([points["x"], points["y"], points["z"]], np.full((3, 2), 2.5))


def test_stereo_fields_lie_where_a_c_program_expects_them() -> None:
    pair = StereoPair(frame(5).features, stereo_matches(points=float("nan")), None)
    cloud = stereo_matches_to_cloud(Header(), frame(6), pair)
    names = ["x", "y", "z", "u", "v", "u_right", "v_right", "disparity", "index", "track_id", "similarity"]
    names += ["index_right", "disparity_sigma"]
    assert [(field.name, field.offset) for field in cloud.fields] == [(name, 4 * i) for i, name in enumerate(names)]
    assert [field.datatype for field in cloud.fields] == [7] * 8 + [6] * 2 + [7, 6, 7]
    assert (cloud.point_step, cloud.is_bigendian, cloud.is_dense) == (52, False, False)


def test_no_stereo_matches_make_an_empty_cloud() -> None:
    cloud = stereo_matches_to_cloud(Header(), frame(3), StereoPair(frame(0).features, StereoMatches.empty(), None))
    assert (cloud.width, cloud.point_step, len(points_from_cloud(cloud))) == (0, 52, 0)


def test_right_features_have_the_tracks_of_their_stereo_matches() -> None:
    left, right = frame(6), frame(5)
    rays = np.arange(15, dtype=np.float32).reshape(5, 3)
    pair = StereoPair(right.features, stereo_matches(points=2.5), rays)
    cloud = right_features_to_cloud(Header(frame_id="right"), left, pair)
    points, matches = points_from_cloud(cloud), points_from_cloud(stereo_matches_to_cloud(Header(), left, pair))
    assert (cloud.header.frame_id, cloud.width, cloud.is_dense) == ("right", 5, True)
    assert [field.name for field in cloud.fields] == [field.name for field in features_to_cloud(Header(), left).fields]
    of_match = points[matches["index_right"]]
    np.testing.assert_array_equal(of_match["track_id"], matches["track_id"])
    np.testing.assert_array_equal(of_match["u"], matches["u_right"])
    np.testing.assert_array_equal(np.stack([points["x"], points["y"], points["z"]], axis=1), rays)
    assert (np.delete(points["track_id"], [0, 4]) == NO_TRACK).all()


def test_stereo_matches_of_unknown_accuracy_say_so() -> None:
    matches = StereoMatches(
        *(getattr(stereo_matches(1.0), name) for name in ("indices", "similarity", "disparity", "points"))
    )
    points = points_from_cloud(
        stereo_matches_to_cloud(Header(), frame(6), StereoPair(frame(5).features, matches, None))
    )
    assert np.isnan(points["disparity_sigma"]).all()
