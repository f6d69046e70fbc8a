"""Features and matches as sensor_msgs/PointCloud2 and back. What is read from a cloud is a view of the message.

The layouts are the node's contract with downstream software: little-endian, one point per keypoint or match.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from ..step import Frame, Step
from ..stereo import StereoPair
from ..types import Features, Matches
from .descriptor_formats import decode

MATCH_DTYPE = np.dtype(
    [
        ("u", "<f4"),
        ("v", "<f4"),
        ("u_prev", "<f4"),
        ("v_prev", "<f4"),
        ("index", "<u4"),
        ("index_prev", "<u4"),
        ("track_id", "<u4"),
        ("similarity", "<f4"),
        ("prev_sec", "<i4"),
        ("prev_nanosec", "<u4"),
    ]
)

STEREO_MATCH_DTYPE = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("u", "<f4"),
        ("v", "<f4"),
        ("u_right", "<f4"),
        ("v_right", "<f4"),
        ("disparity", "<f4"),
        ("index", "<u4"),
        ("track_id", "<u4"),
        ("similarity", "<f4"),
    ]
)

FLAGGED_MATCH_DTYPE = np.dtype([*MATCH_DTYPE.descr, ("inlier", "u1")])

_FIELD_TYPES = {
    np.dtype("i1"): PointField.INT8,
    np.dtype("u1"): PointField.UINT8,
    np.dtype("<i2"): PointField.INT16,
    np.dtype("<u2"): PointField.UINT16,
    np.dtype("<i4"): PointField.INT32,
    np.dtype("<u4"): PointField.UINT32,
    np.dtype("<f4"): PointField.FLOAT32,
    np.dtype("<f8"): PointField.FLOAT64,
}
_NUMPY_TYPES = {code: dtype for dtype, code in _FIELD_TYPES.items()}


def feature_dtype(descriptor: np.dtype, length: int) -> np.dtype:
    """Layout of a point of the feature cloud, by the type and number of its descriptor's values."""
    return np.dtype(
        [
            ("x", "<f4"),
            ("y", "<f4"),
            ("z", "<f4"),
            ("u", "<f4"),
            ("v", "<f4"),
            ("score", "<f4"),
            ("track_id", "<u4"),
            ("descriptor", descriptor, (length,)),
        ]
    )


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
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * len(points),
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
    formats = [
        (_NUMPY_TYPES[f.datatype], (f.count,)) if f.count > 1 else _NUMPY_TYPES[f.datatype] for f in cloud.fields
    ]
    dtype = np.dtype(
        {
            "names": [f.name for f in cloud.fields],
            "formats": formats,
            "offsets": [f.offset for f in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    return np.frombuffer(cloud.data, dtype, count)


def features_to_cloud(header: Header, frame: Frame, encoded: NDArray[Any] | None = None) -> PointCloud2:
    """The feature cloud of a frame; its rays are NaN without a calibrated camera.

    encoded: its descriptors in another format (see `descriptor_formats.encoder`).
    """
    features, rays = frame.features, frame.rays
    descriptors = features.descriptors if encoded is None else encoded
    points = np.empty(len(features), feature_dtype(descriptors.dtype, descriptors.shape[1]))
    for axis, name in enumerate("xyz"):
        points[name] = np.nan if rays is None else rays[:, axis]
    points["u"], points["v"] = features.keypoints.T
    points["score"] = features.scores
    points["track_id"] = frame.tracks.ids
    points["descriptor"] = descriptors
    return cloud_from_points(header, points, is_dense=rays is not None and bool(np.isfinite(rays).all()))


def features_from_cloud(cloud: PointCloud2) -> Features:
    """The features of a feature cloud with descriptors in any format."""
    points = points_from_cloud(cloud)
    keypoints = np.stack([points["u"], points["v"]], axis=1)
    return Features(keypoints=keypoints, scores=points["score"], descriptors=decode(points["descriptor"]))


def matches_to_cloud(header: Header, step: Step, flagged: bool = False) -> PointCloud2:
    """The match cloud between a frame and the one before; empty when there was none.

    flagged: with a last field `inlier`, 1 for matches that agree with the geometry and 0 for others.
    """
    frame, previous, matches = step.frame, step.previous, step.matches
    points = np.empty(len(matches), FLAGGED_MATCH_DTYPE if flagged else MATCH_DTYPE)
    if flagged and step.inliers is not None:
        points["inlier"] = step.inliers
    if previous is not None:
        index, index_prev = matches.indices.T
        points["u"], points["v"] = frame.features.keypoints[index].T
        points["u_prev"], points["v_prev"] = previous.features.keypoints[index_prev].T
        points["index"], points["index_prev"] = index, index_prev
        points["track_id"] = frame.tracks.ids[index]
        points["similarity"] = matches.similarity
        points["prev_sec"], points["prev_nanosec"] = divmod(previous.stamp, 10**9)
    return cloud_from_points(header, points)


def matches_from_cloud(cloud: PointCloud2) -> Matches:
    """The matches of a match cloud: rows of its own feature cloud and of the one before."""
    points = points_from_cloud(cloud)
    indices = np.stack([points["index"], points["index_prev"]], axis=1)
    return Matches(indices=indices, similarity=points["similarity"])


def stereo_matches_to_cloud(header: Header, frame: Frame, pair: StereoPair) -> PointCloud2:
    """The stereo cloud of a frame of the left camera, with the left image's header. `points_from_cloud` reads it."""
    matches = pair.matches
    points = np.empty(len(matches), STEREO_MATCH_DTYPE)
    index, index_right = matches.indices.T
    for axis, name in enumerate("xyz"):
        points[name] = matches.points[:, axis]
    points["u"], points["v"] = frame.features.keypoints[index].T
    points["u_right"], points["v_right"] = pair.right.keypoints[index_right].T
    points["disparity"] = matches.disparity
    points["index"], points["track_id"] = index, frame.tracks.ids[index]
    points["similarity"] = matches.similarity
    return cloud_from_points(header, points, is_dense=bool(np.isfinite(matches.points).all()))


def image_message(header: Header, data: NDArray[np.uint8], height: int, encoding: str, **fields: Any) -> Image:
    """An Image of a raw buffer of `height` rows; `fields` are further fields of the message."""
    buffer = array.array("B", data.tobytes())
    return Image(header=header, height=height, encoding=encoding, step=len(buffer) // height, data=buffer, **fields)
