"""Accuracy of the node's matches and disparities over DDS: the synthetic flight, and the Middlebury motorcycle.

Then the time of a refinement as a share of that of the network, which takes 13.8 ms where 6 ms are allowed.

python -m benchmarks.accuracy        # a minute or two; needs scikit-image, whose pictures both are made of
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2
from skimage import data
from std_msgs.msg import Header
from tqdm import tqdm

from benchmarks.common import interleaved, parser, save, verdict
from benchmarks.live import own_ros
from silk_ros.extractor import Extractor
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from silk_ros.geometry.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.handover import handed_over
from silk_ros.images.flight import SyntheticFlight
from silk_ros.interpolation import interpolated
from silk_ros.refinement import REACH, Patches, refine
from silk_ros.ros.messages import image_message, points_from_cloud
from silk_ros.ros.node.subprocesses import start, stop
from silk_ros.types import Features

FLIGHT_IMAGES, FLIGHT_RATE = 150, 10.0  # frames, Hz: of a lap that the demo flies
RIGHT = 1.5  # pixels from the true epipolar line
NEAR, ROUGH = 1.0, 3.0  # pixels between a disparity and its truth: near, and counted in the rms
ANSWER = 30.0  # seconds until a node must have answered
REFINED, ROUNDS = 3000, 100  # points of a refinement that is timed, and how often
METHODS = ("none", "subpixel")
Row = dict[str, float]


class Asked:
    """A node that is sent images, one set at a time, and waited for."""

    def __init__(self, topics: tuple[str, ...], answer: str) -> None:
        self._node = rclpy.create_node("accuracy")
        self._publishers = [self._node.create_publisher(Image, topic, qos_profile_sensor_data) for topic in topics]
        self._clouds: list[PointCloud2] = []
        self._node.create_subscription(PointCloud2, answer, self._clouds.append, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def send(self, stamp: float, *images: NDArray[np.uint8]) -> NDArray:
        """The points of the cloud that answers images of one stamp, in seconds.

        They are sent again until one comes. Raises RuntimeError when none comes in time.
        """
        header = Header(frame_id="camera")
        header.stamp.sec, header.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
        end = time.monotonic() + ANSWER
        while time.monotonic() < end:
            for publisher, image in zip(self._publishers, images):
                publisher.publish(image_message(header, image, image.shape[0], "mono8", width=image.shape[1]))
            again = time.monotonic() + 1.0
            while time.monotonic() < again:
                self._executor.spin_once(timeout_sec=0.1)
                for cloud in self._clouds:
                    if cloud.header == header:
                        self._clouds.clear()
                        return points_from_cloud(cloud)
        raise RuntimeError("the node does not answer; see the log above")

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()


def ask(topics: tuple[str, ...], answer: str, use: Callable[[Asked], Row], *parameters: str) -> Row:
    """What `use` measures of a node with these parameters."""
    node, asked = start("silk_node", *parameters), Asked(topics, answer)
    try:
        return use(asked)
    finally:
        asked.close()
        stop(node)


def fly(asked: Asked) -> Row:
    """Distances of the matches of consecutive images of the flight from their true epipolar lines."""
    flight, distances, counts = SyntheticFlight(), [], []
    for index in tqdm(range(FLIGHT_IMAGES), desc="flight", leave=False):
        moment = index / FLIGHT_RATE
        points = asked.send(1 + moment, flight.render(moment))
        if not len(points):  # the first image
            continue
        pose, pose_prev = flight.pose(moment), flight.pose(moment - 1 / FLIGHT_RATE)
        fundamental = fundamental_from_poses(flight.camera.matrix, pose, pose_prev)
        pixels = (np.stack([points[u], points[v]], axis=1) for u, v in (("u", "v"), ("u_prev", "v_prev")))
        distances.append(epipolar_distance(fundamental, *pixels))
        counts.append(len(points))
    error = np.concatenate(distances)
    return {
        "matches": round(float(np.mean(counts)), 1),
        "right": round(float((error <= RIGHT).sum() / len(counts)), 1),
        "share": round(float((error <= RIGHT).mean()), 4),
        "median": round(float(np.median(error)), 3),
    }


def see_motorcycle(asked: Asked) -> Row:
    """Errors of the disparities of the motorcycle."""
    left, right, truth = data.stereo_motorcycle()
    gray = [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) for image in (left, right)]
    points = asked.send(1.0, *gray)
    column, row = np.rint([points["u"], points["v"]]).astype(int)
    true = truth[row.clip(0, truth.shape[0] - 1), column.clip(0, truth.shape[1] - 1)]
    known = np.isfinite(true) & (true > 0)
    error, sigma = (points["disparity"] - true)[known], points["disparity_sigma"][known]
    rough = np.abs(error) <= ROUGH
    return {
        "matches": len(points),
        "near": int((np.abs(error) <= NEAR).sum()),
        "share": round(float((np.abs(error) <= NEAR).mean()), 4),
        "rms": round(float(np.sqrt(np.mean(np.square(error[rough])))), 3),
        "bias": round(float(np.median(error)), 3),
        "within one sigma": round(float((np.abs(error) <= sigma)[rough].mean()), 3),
        "within three sigma": round(float((np.abs(error) <= 3 * sigma)[rough].mean()), 3),
    }


def relative_time() -> float:
    """Time of refining REFINED points of the flight, with their rows and descriptors, over that of the network."""
    flight, extractor = SyntheticFlight(), Extractor.load(max_keypoints=CAMERA_MAX_KEYPOINTS, scale=CAMERA_SCALE)
    before, now = flight.render(0), flight.render(1 / FLIGHT_RATE)
    pixel, found = 1 / CAMERA_SCALE, extractor(now)
    points, ages = extractor(before).keypoints[:REFINED], np.ones(REFINED, np.uint32)

    def refinement() -> Features:
        refined = refine(Patches(before), Patches(now), points, points, REACH * pixel).points
        rows = handed_over(refined, found.keypoints, pixel, ages)
        return interpolated(found.moved(rows[rows >= 0], refined[rows >= 0]), found.keypoints, pixel)

    candidates: dict[str, Callable[[], object]] = {
        "refinement": refinement,
        "network": lambda: extractor(now),
    }
    times = interleaved(candidates, ROUNDS, f"{REFINED} points")
    return times["refinement"]["median"] / times["network"]["median"]


def main() -> None:
    parser(__doc__).parse_args()
    flight, motorcycle = dict[str, Row](), dict[str, Row]()
    sides = ("left/image_raw", "right/image_raw")
    with own_ros():
        for method in METHODS:
            chosen = f"refinement:={method}"
            flight[method] = ask(("image_raw",), "silk/matches", fly, chosen)
            motorcycle[method] = ask(sides, "silk/stereo_matches", see_motorcycle, chosen, "stereo.sync:=exact")
            print(f"{method}: flight {flight[method]}, motorcycle {motorcycle[method]}")
    refined, disparities = flight["subpixel"], motorcycle["subpixel"]
    verdicts = [
        verdict("flight: share of right matches", refined["share"], 0.97, True),
        verdict("flight: median distance from the epipolar line, px", refined["median"], 0.20, False),
        verdict("motorcycle: share of disparities within 1 px", disparities["share"], 0.90, True),
        verdict("motorcycle: rms of disparities within 3 px, px", disparities["rms"], 0.50, False),
        verdict(f"time of refining {REFINED} points / of the network", relative_time(), 0.43, False),
    ]
    save("accuracy", {"verdicts": verdicts, "flight": flight, "motorcycle": motorcycle}, per_machine=True)


if __name__ == "__main__":
    main()
