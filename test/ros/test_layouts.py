"""The layouts of RViz and Foxglove show topics and values that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from harness import ROOT

from silk_ros.ros.front_end.statistics import Statistics
from silk_ros.ros.messages import feature_dtype

CONFIG = ROOT / "config"
RVIZ = yaml.safe_load((CONFIG / "silk.rviz").read_text())
FOXGLOVE = json.loads((CONFIG / "silk_foxglove.json").read_text())
ODOMETRY = ("odometry", "path", "landmarks", "keyframes")  # topics of the odometry node


def documented_topics() -> set[str]:
    """The names in the first columns of docs/messages.md's tables of topics, as they are without a namespace."""
    topics = re.findall(r"^\| `([~/][\w/]+)` \| [a-z]+_msgs/", (ROOT / "docs" / "messages.md").read_text(), flags=re.M)
    nodes = {f"~/{name}": "odometry" for name in ODOMETRY}
    return {topic.replace("~", "/" + nodes.get(topic, "silk")) for topic in topics}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def leaves(layout: Any) -> list[str]:
    return [layout] if isinstance(layout, str) else [*leaves(layout["first"]), *leaves(layout["second"])]


def test_rviz_shows_what_is_published_in_frames_of_a_robot() -> None:
    displays = {display["Name"]: display for display in RVIZ["Visualization Manager"]["Displays"]}
    topics = {display["Topic"]["Value"] for display in displays.values() if "Topic" in display}
    wanted = {"image_overlay", "features", "stereo_matches", "tracks"}
    assert topics == {f"/silk/{name}" for name in wanted} | {f"/odometry/{name}" for name in ODOMETRY}
    assert topics <= documented_topics()
    assert RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"] == "odom"
    classes = {display["Class"].removeprefix("rviz_default_plugins/") for display in displays.values()}
    assert classes == {"Grid", "TF", "Image", "PointCloud2", "PointCloud", "Odometry", "Path", "PoseArray"}


def test_rviz_colours_points_by_fields_that_they_have() -> None:
    channels = {
        display["Topic"]["Value"]: display["Channel Name"]
        for display in RVIZ["Visualization Manager"]["Displays"]
        if "Channel Name" in display
    }
    fields = {"/silk/features": "score", "/silk/stereo_matches": "z", "/silk/tracks": "id"}
    assert channels == fields | {"/odometry/landmarks": "track_id"}
    assert channels["/silk/features"] in (feature_dtype(np.dtype("<f4"), 32).names or ())


def test_foxglove_shows_what_is_published() -> None:
    names = {text for text in texts(FOXGLOVE["configById"]) if re.match(r"^/\w", text)}
    topics = {re.split(r"[.\[]", name)[0] for name in names}
    assert topics <= documented_topics()
    assert {
        "/silk/image_overlay",
        "/silk/stereo_matches",
        "/odometry/path",
        "/odometry/landmarks",
        "/diagnostics",
    } <= topics
    assert sorted(leaves(FOXGLOVE["layout"])) == sorted(FOXGLOVE["configById"])  # each panel has its place


@pytest.mark.parametrize("wanted", ["rate_hz", "latency_p50_ms", "latency_p99_ms", "dropped_frames", "inlier_ratio"])
def test_foxglove_plots_values_of_the_diagnostics(wanted: str) -> None:
    keys = set(re.findall(r'key==\\"(\w+)\\"', json.dumps(FOXGLOVE)))
    assert wanted in keys <= set(Statistics().snapshot())
