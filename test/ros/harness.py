"""A camera and a listener around a node, and messages to feed it."""

from __future__ import annotations

import array
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from skimage import data
from std_msgs.msg import Header

from silk_ros.ros.silk_node import SilkNode

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 30.0  # seconds; only a failing test waits that long
# Counters of the diagnostics: each image that is received ends in one of them.
OUTCOMES = ("processed_frames", "dropped_frames", "rejected_images", "ignored_frames", "failed_frames")


class _Closable(Protocol):
    def close(self) -> None: ...


Made = TypeVar("Made", bound=_Closable)


def picture(width: int = 160, height: int = 120, shift: int = 0) -> np.ndarray:
    """A window of a photograph, moved `shift` pixels to the right."""
    return np.ascontiguousarray(data.camera()[100 : 100 + height, 150 + shift : 150 + shift + width])


def image_message(image: np.ndarray, stamp: float = 1.0, encoding: str = "mono8", **changes: Any) -> Image:
    """An Image message of an array; `changes` overwrite its fields."""
    header = Header(frame_id="test_camera")
    header.stamp.sec, header.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
    buffer = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
    message = Image(
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        step=len(buffer) // max(1, image.shape[0]),
        data=array.array("B", buffer.tobytes()),
    )
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def camera_info(width: int = 160, height: int = 120, focal_length: float = 100.0) -> CameraInfo:
    k = [focal_length, 0.0, (width - 1) / 2, 0.0, focal_length, (height - 1) / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=width, height=height, k=k, d=[0.0] * 5, distortion_model="plumb_bob")


def _messages(values: dict[str, object]) -> list[ParameterMessage]:
    return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]


@contextmanager
def closed_at_the_end(make: Callable[..., Made]) -> Iterator[Callable[..., Made]]:
    """What `make` makes, each closed at the end."""
    made: list[Made] = []

    def remember(*arguments: object, **named: object) -> Made:
        made.append(make(*arguments, **named))
        return made[-1]

    yield remember
    for each in made:
        each.close()


class Peer:
    """A camera and a listener around a node `silk` in a namespace, wherever it runs."""

    def __init__(self, context: Context, namespace: str = "", image_qos: QoSProfile = qos_profile_sensor_data) -> None:
        self.peer = rclpy.create_node("peer", context=context, namespace=namespace)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.peer)
        self.features: list[PointCloud2] = []
        self.matches: list[PointCloud2] = []
        self.diagnostics: dict[str, str] = {}
        self.history: list[dict[str, str]] = []  # of the diagnostics
        self.level, self.summary = DiagnosticStatus.OK, ""
        self._clients: dict[str, Any] = {}
        self.images = self.peer.create_publisher(Image, "image_raw", image_qos)
        self.infos = self.peer.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.masks = self.peer.create_publisher(Image, "mask", qos_profile_sensor_data)
        self.peer.create_subscription(PointCloud2, "silk/features", self.features.append, 50)
        self.peer.create_subscription(PointCloud2, "silk/matches", self.matches.append, 50)
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        if f"/{status.name}" == f"{self.peer.get_namespace().rstrip('/')}/silk":
            self.level, self.summary = status.level, status.message
            self.diagnostics = {value.key: value.value for value in status.values}
            self.history.append(self.diagnostics)

    def _client(self, service_type: type, name: str) -> Any:
        """The client of a service, which is ready. One for each: DDS may take long to match one made anew."""
        if name not in self._clients:
            self._clients[name] = self.peer.create_client(service_type, name)
            self.spin_until(self._clients[name].service_is_ready)
            self.drain()  # the service has to know the client too
        return self._clients[name]

    def call(self, service_type: type, name: str, request: object) -> Any:
        """Ask a service and wait for the answer."""
        future = self._client(service_type, name).call_async(request)
        self.spin_until(future.done)
        return future.result()

    def ask_to_set(self, **values: object) -> Any:
        """The future answer of the service that sets parameters one by one."""
        client = self._client(SetParameters, "/silk/set_parameters")
        return client.call_async(SetParameters.Request(parameters=_messages(values)))

    def set_parameters(self, **values: object) -> list[str]:
        """Set parameters one by one. Returns the reasons for refusing them, empty where they are accepted."""
        future = self.ask_to_set(**values)
        self.spin_until(future.done)
        return ["" if result.successful else result.reason or "refused" for result in future.result().results]

    def set_atomically(self, **values: object) -> SetParametersResult:
        request = SetParametersAtomically.Request(parameters=_messages(values))
        return self.call(SetParametersAtomically, "/silk/set_parameters_atomically", request).result

    def wait_for_node(self) -> None:
        """Wait for two diagnostics from now on: a node that has just been started is up, and found."""
        least = len(self.history) + 2
        self.spin_until(lambda: len(self.history) >= least)

    def count(self, name: str) -> int:
        """A counter of the last diagnostics."""
        return int(self.diagnostics.get(name, "0"))

    def spin_until(
        self, condition: Callable[[], object], repeat: Callable[[], object] | None = None, period: float = 0.1
    ) -> None:
        """Spin, calling `repeat` every `period` seconds, until the condition holds; fail at the deadline."""
        end, next_repeat = time.monotonic() + DEADLINE, 0.0
        while not condition():
            now = time.monotonic()
            assert now < end, f"not within {DEADLINE} s; diagnostics: {self.diagnostics}"
            if repeat is not None and now >= next_repeat:
                repeat()
                next_repeat = now + period
            self.executor.spin_once(timeout_sec=min(0.02, period))

    def send(self, message: Image) -> tuple[PointCloud2, PointCloud2]:
        """Publish one image until its features and matches arrive, whatever still arrives of earlier ones."""
        before = len(self.features), len(self.matches)

        def found() -> list[PointCloud2]:
            arrived = (clouds[count:] for clouds, count in zip((self.features, self.matches), before))
            of_it = ([cloud for cloud in clouds if cloud.header.stamp == message.header.stamp] for clouds in arrived)
            return [clouds[0] for clouds in of_it if clouds]

        self.spin_until(lambda: len(found()) == 2, lambda: self.images.publish(message))
        self.drain()
        features, matches = found()
        return features, matches

    def send_once(self, message: Image) -> None:
        """Publish one image, once, and wait for its features and matches."""
        stamp = message.header.stamp
        self.images.publish(message)
        self.spin_until(
            lambda: all(clouds and clouds[-1].header.stamp == stamp for clouds in (self.features, self.matches))
        )

    def drain(self, seconds: float = 0.3) -> None:
        """Spin until nothing new has come for a while, so that repeats do not leak into the next step."""
        quiet = time.monotonic() + seconds
        count = len(self.matches)
        while time.monotonic() < quiet:
            self.executor.spin_once(timeout_sec=0.02)
            if len(self.matches) > count:
                count, quiet = len(self.matches), time.monotonic() + seconds

    def wait_for_count(self, name: str, repeat: Callable[[], object] | None = None, least: int = 1) -> None:
        """Wait until a counter of the diagnostics has reached a value."""
        self.spin_until(lambda: self.count(name) >= least, repeat)

    def close(self) -> None:
        self.executor.shutdown()
        self.peer.destroy_node()


class Graph(Peer):
    """A SilkNode in this process with a camera and a listener around it."""

    def __init__(self, context: Context, **parameters: object) -> None:
        overrides = [
            Parameter(name, value=value) for name, value in {"max_keypoints": 200, "scale": 1.0, **parameters}.items()
        ]
        self.node = SilkNode(context=context, parameter_overrides=overrides)
        super().__init__(context)
        self.executor.add_node(self.node)

    def deliver(self, message: Image | CameraInfo, topic: str) -> Counter[str]:
        """Hand a message to the node's own callback, without DDS, and wait until it is dealt with.

        Returns the counters of the diagnostics that this changed, with the difference.
        """
        (subscription,) = (given for given in self.node.subscriptions if given.topic_name == topic)
        before = self._counters()
        # The callbacks of images take what rclpy tells of a message besides.
        subscription.callback(*(message, {})[: 1 + subscription._callback_type.value])
        end = time.monotonic() + DEADLINE
        while (change := self._counters() - before)["received_frames"] > sum(change[name] for name in OUTCOMES):
            assert time.monotonic() < end, f"not within {DEADLINE} s: {change}"
            time.sleep(0.0005)
        return change

    def _counters(self) -> Counter[str]:
        values = self.node._statistics.snapshot()
        return Counter({name: int(value) for name, value in values.items() if value.isdecimal()})

    def close(self) -> None:
        self.node.stop()
        super().close()
        self.node.destroy_node()
        self.node._state_machine.destroy_when_not_in_use()  # rclpy leaves it, and with it the node, in the graph
