"""What goes wrong around a robot: cameras and nodes that die, bursts, slow listeners, clocks that jump, full disks."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from harness import DEADLINE, ROOT, Graph, Peer, image_message, picture
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, PointCloud2

from silk_ros.ros.messages import points_from_cloud, stamp_nanoseconds

Process = subprocess.Popen[str]
Spawn = Callable[..., Process]

FAST_DIAGNOSTICS = "diagnostics_period:=0.2"


def parameters(*given: str) -> list[str]:
    return ["--ros-args", *(text for parameter in given for text in ("-p", parameter))]


def kill(process: Process) -> None:
    """As a crash would end it: nothing is closed, nobody is told."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def end(process: Process) -> str:
    """Interrupt a process that must end well; returns its log."""
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "Traceback" not in log, log
    return log


def stamps(clouds: list[PointCloud2]) -> list[int]:
    return [stamp_nanoseconds(cloud.header.stamp) for cloud in clouds]


def camera(start: float = 1.0) -> Iterator[Image]:
    """A view of a photograph that moves by three pixels from image to image, ten images a second."""
    for index in range(10_000):
        yield image_message(picture(shift=3 * (index % 10)), stamp=start + index / 10)


def resident_bytes(process: Process) -> int:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_camera_that_dies_and_returns_is_followed_again(peer: Peer, spawn: Spawn, image_folder: Path) -> None:
    node = spawn("silk_node", *parameters("no_data_timeout:=0.5", FAST_DIAGNOSTICS, "max_keypoints:=200"))

    def start_player() -> Process:
        return spawn("image_player", *parameters(f"source:={image_folder}", "rate:=10.0"))

    player = start_player()
    peer.spin_until(lambda: any(cloud.width for cloud in peer.matches))
    kill(player)
    peer.spin_until(lambda: peer.level == DiagnosticStatus.STALE)
    assert peer.summary.startswith("no image")
    peer.features.clear(), peer.matches.clear()
    start_player()
    peer.spin_until(lambda: len(peer.matches) > 3)
    peer.spin_until(lambda: peer.level == DiagnosticStatus.OK)
    assert any(cloud.width > 50 for cloud in peer.matches) and peer.count("failed_frames") == 0
    assert "no data on /image_raw" in end(node)


def test_change_of_size_encoding_and_rate_in_mid_stream_costs_restarts_only(graph: Graph) -> None:
    large, small = picture(), picture(128, 96)
    colour = np.dstack([large] * 3)
    deep = small.astype(np.uint16) * 257
    # Image, encoding, seconds between two, and whether it starts new tracks.
    changes: list[tuple[np.ndarray, str, float, int]] = [
        (large, "mono8", 0.1, 0),
        (colour, "bgr8", 0.1, 0),
        (small, "mono8", 0.02, 1),
        (deep, "mono16", 0.02, 0),
        (large, "bayer_rggb8", 0.3, 1),
        (colour, "rgb8", 0.05, 0),
    ]
    stamp, restarts = 0.0, 0
    for image, encoding, period, restarted in changes:
        restarts += restarted
        began = stamp

        def publish(image: np.ndarray = image, encoding: str = encoding, period: float = period) -> None:
            nonlocal stamp
            stamp += period
            graph.images.publish(image_message(image, stamp, encoding))

        def followed(began: float = began) -> bool:
            return sum(stamp > began * 1e9 for stamp in stamps(graph.matches)) >= 3

        graph.spin_until(followed, publish, period)
        graph.drain()
        cloud = graph.features[-1]
        points = points_from_cloud(cloud)
        assert cloud.width == 200 and graph.matches[-1].width > 100, encoding
        assert points["u"].min() >= 0 and points["u"].max() < image.shape[1]
        assert points["v"].min() >= 0 and points["v"].max() < image.shape[0]
    graph.wait_for_count("restarts", least=restarts)
    graph.wait_for_node()
    assert graph.count("restarts") == restarts
    assert graph.count("failed_frames") == graph.count("rejected_images") == 0


def test_burst_costs_dropped_frames_but_neither_order_nor_memory(make_peer: Callable[..., Peer], spawn: Spawn) -> None:
    peer = make_peer(image_qos=QoSProfile(depth=10))  # reliable: the last image of a burst arrives
    node = spawn("silk_node", *parameters("scale:=1.0", "image_reliability:=reliable", FAST_DIAGNOSTICS))
    message = image_message(cv2.resize(picture(320, 240), (640, 480)))
    sent = 0

    def publish() -> None:
        nonlocal sent
        sent += 1
        message.header.stamp.sec = sent
        peer.images.publish(message)

    peer.wait_for_node()
    peer.spin_until(lambda: peer.features, publish)
    peer.drain()
    times = []  # from an image to its features, without any waiting
    for _ in range(5):
        began = time.monotonic()
        publish()
        peer.spin_until(lambda: stamps(peer.features)[-1] == sent * 10**9)
        times.append(time.monotonic() - began)

    def burst(images: int = 60) -> None:
        """At five times the rate that the node can follow, at least."""
        last = sent + images
        peer.spin_until(lambda: sent == last, publish, min(times) / 5)
        peer.spin_until(lambda: stamps(peer.features)[-1] == last * 10**9)

    burst()
    peer.wait_for_node()
    resident = resident_bytes(node)
    burst()
    peer.wait_for_node()
    assert np.all(np.diff(stamps(peer.features)) > 0)
    assert peer.count("dropped_frames") > peer.count("processed_frames") > len(times)
    assert peer.count("received_frames") == peer.count("processed_frames") + peer.count("dropped_frames")
    assert resident_bytes(node) - resident < 8e6  # the images of a burst have 18 MB
    end(node)


def test_nodes_in_namespaces_keep_to_their_cameras(make_peer: Callable[..., Peer], spawn: Spawn) -> None:
    """/a and /b share a camera, /c has its own."""
    shared = ["-r", "image_raw:=/a/image_raw"]
    for namespace, remap in {"a": [], "b": shared, "c": []}.items():
        spawn("silk_node", *parameters("max_keypoints:=200", FAST_DIAGNOSTICS), "-r", f"__ns:=/{namespace}", *remap)
    peers = {namespace: make_peer(f"/{namespace}") for namespace in "abc"}

    def spin_all() -> None:
        for peer in peers.values():
            peer.executor.spin_once(timeout_sec=0)

    def publish() -> None:
        peers["a"].images.publish(image_message(picture(), stamp=1.0))
        own = image_message(picture(128, 96), stamp=2.0)
        own.header.frame_id = "camera_of_c"
        peers["c"].images.publish(own)
        spin_all()

    for peer in peers.values():
        peer.spin_until(lambda peer=peer: len(peer.features) > 3 and len(peer.matches) > 3 and peer.history, publish)
    for namespace, frame, stamp, width in (
        ("a", "test_camera", 1, 160),
        ("b", "test_camera", 1, 160),
        ("c", "camera_of_c", 2, 128),
    ):
        clouds = [*peers[namespace].features, *peers[namespace].matches]
        assert {(cloud.header.frame_id, cloud.header.stamp.sec) for cloud in clouds} == {(frame, stamp)}
        u = points_from_cloud(peers[namespace].features[0])["u"]
        assert width - 40 < u.max() < width


SLOW_LISTENER = """
import sys, time
import rclpy
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import PointCloud2
def take(cloud):
    print(cloud.header.stamp, flush=True)
    time.sleep(1)
rclpy.init()
node = rclpy.create_node("slow")
node.create_subscription(PointCloud2, "/silk/features", take, QoSProfile(depth=int(sys.argv[1])))
rclpy.spin(node)
"""


def test_listeners_that_are_slow_or_hang_or_die_delay_nobody_else(graph: Graph, domain_id: int, tmp_path: Path) -> None:
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id)}
    slow: list[Process] = []
    for depth in ("1", "5"):
        with (tmp_path / depth).open("w") as output:
            command = [sys.executable, "-c", SLOW_LISTENER, depth]
            slow.append(subprocess.Popen(command, env=environment, stdout=output, text=True))
    images = camera()

    def play(condition: Callable[[], bool]) -> int:
        """Until a condition holds and the newest image is out; returns the number of clouds that came here."""
        before = len(graph.features)
        graph.spin_until(condition, lambda: graph.images.publish(next(images)))
        newest = next(images)
        stamp = stamp_nanoseconds(newest.header.stamp)
        graph.spin_until(lambda: stamps(graph.features)[-1] == stamp, lambda: graph.images.publish(newest))
        return len(graph.features) - before

    def taken() -> int:
        """Clouds that each of the slow ones has taken, at least."""
        return min((tmp_path / depth).read_text().count("\n") for depth in ("1", "5"))

    try:
        play(lambda: taken() > 0)
        before = taken()
        clouds = play(lambda: taken() >= before + 3)
        assert clouds > 2 * (taken() - before)  # it would be one each if the node waited
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for process in slow:
                process.send_signal(how)
            least = len(graph.features) + 10
            play(lambda least=least: len(graph.features) >= least)
    finally:
        for process in slow:
            kill(process)
    assert graph.count("failed_frames") == 0


def test_node_that_is_killed_and_started_again_serves_the_same_listeners(peer: Peer, spawn: Spawn) -> None:
    images = camera()
    first_ids = []
    for _ in range(2):
        node = spawn("silk_node", *parameters("max_keypoints:=200", FAST_DIAGNOSTICS))
        peer.wait_for_node()
        peer.features.clear(), peer.matches.clear()
        peer.spin_until(lambda: len(peer.matches) > 3, lambda: peer.images.publish(next(images)))
        first_ids.append(set(points_from_cloud(peer.features[0])["track_id"].tolist()))
        assert peer.matches[0].width == 0 and peer.matches[-1].width > 50
        kill(node)
    assert first_ids[0] == first_ids[1]


def test_simulated_clock_that_jumps_back_starts_new_tracks(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(use_sim_time=True)
    clock = graph.peer.create_publisher(Clock, "/clock", 10)

    def play(start: float) -> Callable[[], None]:
        images = camera(start)

        def publish() -> None:
            """Each image is 0.1 s old when it is sent."""
            image = next(images)
            now = Clock()
            now.clock.sec, now.clock.nanosec = divmod(stamp_nanoseconds(image.header.stamp) + 10**8, 10**9)
            clock.publish(now)
            graph.images.publish(image)

        return publish

    def latency() -> float:
        return float(graph.diagnostics.get("latency_p50_ms", "nan"))

    graph.spin_until(lambda: len(graph.matches) > 3 and latency() > 0, play(1000.0))
    graph.drain()
    graph.matches.clear()
    seen = len(graph.history)
    graph.spin_until(lambda: len(graph.matches) > 3, play(500.0))
    graph.drain()
    assert graph.matches[0].width == 0 and all(cloud.width > 50 for cloud in graph.matches[1:])
    assert max(stamps(graph.matches)) < 600 * 10**9
    graph.wait_for_node()
    assert graph.count("clock_jumps") == 1 and graph.count("failed_frames") == 0
    measured = [float(report["latency_p50_ms"]) for report in graph.history[seen:]]
    assert all(0 <= value < 60_000 for value in measured) and 0 < latency() < 60_000


def limit_files(process: Process, size: int) -> None:
    """From now on, files of the process cannot grow beyond `size` bytes, as on a full disk."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))


def test_node_works_without_a_cache(peer: Peer, spawn: Spawn) -> None:
    node = spawn("silk_node", *parameters("max_keypoints:=200", FAST_DIAGNOSTICS), XDG_CACHE_HOME="/dev/null/cache")
    peer.wait_for_node()
    peer.send(image_message(picture()))
    assert "no cache for compiled networks" in end(node)


def test_full_disk_under_the_cache_spoils_neither_this_run_nor_the_next(
    peer: Peer, spawn: Spawn, tmp_path: Path
) -> None:
    for limit in (10_000, None):
        peer.features.clear()
        node = spawn("silk_node", *parameters("max_keypoints:=200", FAST_DIAGNOSTICS), XDG_CACHE_HOME=str(tmp_path))
        peer.wait_for_node()
        if limit is not None:
            limit_files(node, limit)
        assert peer.send(image_message(picture()))[0].width == 200
        end(node)


def test_full_disk_ends_a_recording_with_the_reason(
    peer: Peer, spawn: Spawn, image_folder: Path, tmp_path: Path
) -> None:
    images: list[Image] = []
    peer.peer.create_subscription(Image, "image_raw", images.append, qos_profile_sensor_data)
    recording = tmp_path / "recording"
    source = parameters(f"source:={image_folder}", "rate:=50.0", f"record:={recording}")
    player = spawn("image_player", *source)
    peer.spin_until(lambda: images)
    limit_files(player, 1_000_000)
    _, log = player.communicate(timeout=DEADLINE)
    assert player.returncode == 1 and "Traceback" not in log, log
    (reason,) = [line for line in log.splitlines() if line.startswith("image_player: ")]
    assert str(recording) in reason and os.strerror(errno.EFBIG) in reason


def test_log_folder_that_cannot_be_written_is_a_reason_in_one_line(spawn: Spawn) -> None:
    node = spawn("silk_node", ROS_LOG_DIR="/dev/null/log")
    _, log = node.communicate(timeout=DEADLINE)
    assert node.returncode == 1 and "Traceback" not in log
    (reason,) = [line for line in log.splitlines() if line.startswith("silk_node: cannot start: ")]
    assert "/dev/null/log" in reason


IDLE_NODE = """
import sys, threading
from silk_ros.ros.node.process import WorkerNode, run_node

class Idle(WorkerNode):
    def __init__(self):
        super().__init__("idle")
        # As a signal does that comes while the executor looks away: without waking it.
        threading.Timer(0.5, self.context.handle.shutdown).start()

sys.exit(run_node("idle", Idle, None))
"""


def test_context_that_is_shut_down_without_a_word_ends_an_idle_node(domain_id: int) -> None:
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id)}
    result = subprocess.run([sys.executable, "-c", IDLE_NODE], cwd=ROOT, env=environment, timeout=DEADLINE / 3)
    assert result.returncode == 0
