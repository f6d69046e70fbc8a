"""The default arrangement of the view, and the names of what it shows."""

from __future__ import annotations

import rerun.blueprint as rrb

WORLD = "world"  # the odometry frame: x forward, y left, z up
CAMERA = f"{WORLD}/camera"
IMAGE = f"{CAMERA}/image"
CURVES = "curves"
STATES = "states"
DIAGNOSTICS = "diagnostics"


def blueprint() -> rrb.Blueprint:
    """Landmarks and paths beside the image, above curves and the states of the nodes."""
    space = rrb.Spatial3DView(
        origin=WORLD,
        # The image is in its frustum; what is drawn on it would hide the landmarks.
        contents=["$origin/**", f"- {IMAGE}/keypoints", f"- {IMAGE}/tracks"],
        name="landmarks, keyframes, path of the odometry (blue) and true path (green)",
    )
    image = rrb.Spatial2DView(origin=IMAGE, name="image and tracks")
    curves = [
        _curves("latency [ms]", f"/{CURVES}/latency"),
        _curves("keypoints and matches", f"/{CURVES}/keypoints", f"/{CURVES}/matches"),
        _curves(
            "odometry",
            f"/{CURVES}/landmarks",
            f"/{DIAGNOSTICS}/odometry/points",
            f"/{DIAGNOSTICS}/odometry/inliers",
        ),
    ]
    states = rrb.TextLogView(origin=STATES, name="states of the nodes")
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(space, image, column_shares=[3, 2]),
            rrb.Horizontal(*curves, states),
            row_shares=[2, 1],
        ),
        rrb.TimePanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
    )


def _curves(name: str, *entities: str) -> rrb.TimeSeriesView:
    return rrb.TimeSeriesView(origin="/", contents=list(entities), name=name)
