"""Real-time SiLK keypoints, descriptors and matches for visual odometry.

import cv2, silk_ros
extractor = silk_ros.Extractor.load()
features = extractor(cv2.imread("image.png", cv2.IMREAD_GRAYSCALE))
"""

from .extractor import Extractor
from .matcher import match
from .types import Features, Matches

__version__ = "0.1.0"
__all__ = ["Extractor", "Features", "Matches", "match"]
