"""Options of the front-end, and the settings that suit a camera."""

from __future__ import annotations

from dataclasses import dataclass, field

from .matcher import check_filters
from .prediction import check_radius
from .refinement import METHODS
from .stereo import StereoRules
from .verification import Verification

# Settings that suit the frames of a camera (docs/evaluation.md has the sweep): the node's defaults.
CAMERA_MAX_KEYPOINTS = 5000
CAMERA_SCALE = 0.5


@dataclass(frozen=True)
class FrontEndOptions:
    """Options of the front-end. The filters are those of `silk_ros.match`.

    radius:        share of the image's width, 0 to 1. Keypoints are expected to move on as between the last two images,
                   and are matched this close to there. At the start, and where they move otherwise, they are matched
                   in the whole image. With 0 they always are. Where the whole image is matched anyway, by the
                   backend or with double_softmax, matches farther away are dropped.
    verification:  how matches are verified; by default they are not.
    bridge:        take up tracks again that one frame did not see.
    refinement:    "subpixel" moves matched keypoints to where the image shows the same as at their match, and drops
                   matches for which it does not; "none" leaves keypoints on the grid of the network.
    max_published: most keypoints that a frame hands out: those that are matched first, then the best. 0 for all.
                   Matches are made between all keypoints, and handed out where both ends are.
    stereo:        rules of matches with the right image.

    Raises ValueError, naming the range or the choices, for other values.
    """

    ratio: float | None = None
    min_similarity: float | None = None
    double_softmax: float | None = None
    radius: float = 1 / 16
    verification: Verification = field(default_factory=Verification)
    bridge: bool = False
    refinement: str = "subpixel"
    max_published: int = 0
    stereo: StereoRules = field(default_factory=StereoRules)

    def __post_init__(self) -> None:
        check_filters(self.ratio, self.min_similarity, self.double_softmax)
        check_radius(self.radius)
        if self.max_published < 0:
            raise ValueError(f"max_published must be 0 (all) or more, not {self.max_published}")
        if self.refinement not in METHODS:
            raise ValueError(f"unknown refinement '{self.refinement}': choose one of {', '.join(METHODS)}")
