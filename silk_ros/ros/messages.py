"""Features and matches as sensor_msgs/PointCloud2 and back. What is read from a cloud is a view of the message.

The layouts are the node's contract with downstream software: little-endian, one point per keypoint or match.
"""

from __future__ import annotations

import array
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from ..descriptor_formats import decode
from ..step import Frame, Step
from ..stereo import StereoPair
from ..tracker import Tracks
from ..types import Features, Matches

_MATCH_FIELDS = (
    *((name, "<f4") for name in ("u", "v", "u_prev", "v_prev")),
    *((name, "<u4") for name in ("index", "index_prev", "track_id")),
    *(("similarity", "<f4"), ("prev_sec", "<i4"), ("prev_nanosec", "<u4")),
)
# Aligned: unused bytes at the end of a point keep the next one at a multiple of four bytes.
MATCH_DTYPE = np.dtype([*_MATCH_FIELDS, ("refined", "u1")], align=True)
FLAGGED_MATCH_DTYPE = np.dtype([*_MATCH_FIELDS, ("inlier", "u1"), ("refined", "u1")], align=True)
STEREO_MATCH_DTYPE = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "u", "v", "u_right", "v_right", "disparity")]
    + [("index", "<u4"), ("track_id", "<u4"), ("similarity", "<f4"), ("index_right", "<u4"), ("disparity_sigma", "<f4")]
)
NO_TRACK = 2**32 - 1  # track_id of keypoints of the right image that no track has

# The codes of the datatypes of a PointField follow one another in this order.
_NUMPY_TYPES = dict(
    enumerate(map(np.dtype, ("i1", "u1", "<i2", "<u2", "<i4", "<u4", "<f4", "<f8")), start=PointField.INT8)
)
_FIELD_TYPES = {dtype: code for code, dtype in _NUMPY_TYPES.items()}


def feature_dtype(descriptor: np.dtype, length: int) -> np.dtype:
    """Layout of a point of the feature cloud, by the type and number of its descriptor's values."""
    floats = [(name, "<f4") for name in ("x", "y", "z", "u", "v", "score")]
    return np.dtype([*floats, ("track_id", "<u4"), ("descriptor", descriptor, (length,))])


def stamp_nanoseconds(stamp: Time) -> int:
    """Nanoseconds since 1970. Raises ValueError for an invalid stamp."""
    if stamp.nanosec >= 10**9:
        raise ValueError(f"stamp with {stamp.nanosec} nanoseconds, a second or more: set header.stamp in the driver")
    return stamp.sec * 10**9 + stamp.nanosec


def cloud_from_points(header: Header, points: NDArray, is_dense: bool = True) -> PointCloud2:
    """A PointCloud2 with the fields of a structured array (N,)."""
    assert points.dtype.fields is not None
    fields = []
    for name in points.dtype.names or ():
        dtype, offset = points.dtype.fields[name][:2]
        count = int(np.prod(dtype.shape, dtype=int))
        fields.append(PointField(name=name, offset=offset, datatype=_FIELD_TYPES[dtype.base], count=count))
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        point_step=points.dtype.itemsize,
        row_step=points.nbytes,
        data=array.array("B", points.tobytes()),  # the only type that rclpy copies without a loop
        is_dense=is_dense,
    )


def points_from_cloud(cloud: PointCloud2) -> NDArray:
    """A structured array (N,) on the data of any little-endian cloud. Raises ValueError if it is not one."""
    if cloud.is_bigendian:
        raise ValueError("big-endian clouds are not read")
    count = cloud.width * cloud.height
    if len(cloud.data) != count * cloud.point_step:
        raise ValueError(f"cloud of {count} points of {cloud.point_step} bytes has {len(cloud.data)} bytes of data")
    for field in cloud.fields:
        if field.datatype not in _NUMPY_TYPES:
            raise ValueError(f"field '{field.name}' of the cloud has an unknown datatype: {field.datatype}")
    layout: Any = {
        "names": [field.name for field in cloud.fields],
        "formats": [(_NUMPY_TYPES[field.datatype], (field.count,) * (field.count > 1)) for field in cloud.fields],
        "offsets": [field.offset for field in cloud.fields],
        "itemsize": cloud.point_step,
    }
    return np.frombuffer(cloud.data, np.dtype(layout), count)


def features_to_cloud(header: Header, frame: Frame, encoded: NDArray[Any] | None = None) -> PointCloud2:
    """The feature cloud of a frame; rays are NaN without a calibrated camera, and where its lens has none.

    encoded: its descriptors in another format (see `descriptor_formats.encoder`).
    """
    features, rays = frame.features, frame.rays
    descriptors = features.descriptors if encoded is None else encoded
    points = np.empty(len(features), feature_dtype(descriptors.dtype, descriptors.shape[1]))
    points["x"], points["y"], points["z"] = (np.nan,) * 3 if rays is None else rays.T
    points["u"], points["v"] = features.keypoints.T
    points["score"], points["track_id"], points["descriptor"] = features.scores, frame.tracks.ids, descriptors
    return cloud_from_points(header, points, is_dense=rays is not None and bool(np.isfinite(rays).all()))


def right_features_to_cloud(
    header: Header, frame: Frame, pair: StereoPair, encoded: NDArray[Any] | None = None
) -> PointCloud2:
    """The feature cloud of the right image of a pair; a keypoint that is in no stereo match has the id NO_TRACK."""
    index, index_right = pair.matches.indices.T
    ids = np.full(len(pair.right), NO_TRACK, np.uint32)
    ids[index_right] = frame.tracks.ids[index]
    seen = replace(frame, features=pair.right, tracks=Tracks(ids, np.zeros_like(ids)), rays=pair.rays)
    return features_to_cloud(header, seen, encoded)


def features_from_cloud(cloud: PointCloud2) -> Features:
    """The features of a feature cloud with descriptors in any format."""
    points = points_from_cloud(cloud)
    keypoints = np.stack([points["u"], points["v"]], axis=1)
    return Features(keypoints, scores=points["score"], descriptors=decode(points["descriptor"]))


def matches_to_cloud(header: Header, step: Step, flagged: bool = False) -> PointCloud2:
    """The match cloud between a frame and the one before; empty when there was none.

    flagged: with a field `inlier`, 1 for matches that agree with the geometry and 0 for others.
    """
    frame, previous, matches = step.frame, step.previous, step.matches
    points = np.zeros(len(matches), FLAGGED_MATCH_DTYPE if flagged else MATCH_DTYPE)
    if flagged and step.inliers is not None:
        points["inlier"] = step.inliers
    if previous is not None:
        index, index_prev = matches.indices.T
        points["u"], points["v"] = frame.features.keypoints[index].T
        points["u_prev"], points["v_prev"] = previous.features.keypoints[index_prev].T
        points["index"], points["index_prev"] = index, index_prev
        points["track_id"], points["similarity"] = frame.tracks.ids[index], matches.similarity
        points["prev_sec"], points["prev_nanosec"] = divmod(previous.stamp, 10**9)
    if matches.refined is not None:
        points["refined"] = matches.refined
    return cloud_from_points(header, points)


def matches_from_cloud(cloud: PointCloud2) -> Matches:
    """The matches of a match cloud: rows of its own feature cloud and of the one before.

    `refined` is None for a cloud of an earlier version, which does not tell.
    """
    points = points_from_cloud(cloud)
    indices = np.stack([points["index"], points["index_prev"]], axis=1)
    refined = points["refined"] if "refined" in (points.dtype.names or ()) else None
    return Matches(indices=indices, similarity=points["similarity"], refined=refined)


def stereo_matches_to_cloud(header: Header, frame: Frame, pair: StereoPair) -> PointCloud2:
    """The stereo cloud of a frame of the left camera, with the left image's header. `points_from_cloud` reads it."""
    matches = pair.matches
    points = np.empty(len(matches), STEREO_MATCH_DTYPE)
    index, index_right = matches.indices.T
    points["x"], points["y"], points["z"] = matches.points.T
    points["u"], points["v"] = frame.features.keypoints[index].T
    points["u_right"], points["v_right"] = pair.right.keypoints[index_right].T
    points["index"], points["track_id"] = index, frame.tracks.ids[index]
    points["disparity"], points["similarity"] = matches.disparity, matches.similarity
    points["index_right"], points["disparity_sigma"] = index_right, np.nan if matches.sigma is None else matches.sigma
    return cloud_from_points(header, points, is_dense=bool(np.isfinite(matches.points).all()))


def image_message(header: Header, data: NDArray[np.uint8], height: int, encoding: str, **fields: Any) -> Image:
    """An Image of a raw buffer of `height` rows; `fields` are further fields of the message."""
    buffer = array.array("B", data.tobytes())
    return Image(header=header, height=height, encoding=encoding, step=len(buffer) // height, data=buffer, **fields)
