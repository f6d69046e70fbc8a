"""Sources of images that are missing, empty, unreadable or half readable, for the tests of every command."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS = ("folder", "recording", "video")
NOTHING = ("missing", "empty", "unreadable")  # situations without a usable image
SITUATIONS = list(itertools.product(KINDS, NOTHING))
LOST = 3  # the image that a half-readable source lacks


def make_source(folder: Path, kind: str, situation: str, images: list[NDArray[np.uint8]]) -> Path:
    """A source in a new folder. Half readable is one of which image LOST is damaged; it has 10 images or more."""
    source = folder / {"folder": "images", "recording": "drive.mcap", "video": "drive.avi"}[kind]
    if situation == "missing":
        return source
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        source.mkdir()
    if situation == "empty":
        if kind != "folder":
            source.touch()
    elif situation == "unreadable":
        noise = np.random.default_rng(0).bytes(5000)
        for path in [source / "0.png", source / "1.png"] if kind == "folder" else [source]:
            path.write_bytes(noise)
    else:
        {"folder": _half_folder, "recording": _half_recording, "video": _half_video}[kind](source, images)
    return source


def _half_folder(source: Path, images: list[NDArray[np.uint8]]) -> None:
    for index, image in enumerate(images):
        data = cv2.imencode(".png", image)[1].tobytes()
        (source / f"{index:02}.png").write_bytes(data[: len(data) // 2] if index == LOST else data)


def _half_recording(source: Path, images: list[NDArray[np.uint8]]) -> None:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kind = "sensor_msgs/msg/CompressedImage"
    recording = source.parent / "recording"
    with Writer(recording, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera/image_raw/compressed", kind, typestore=store)
        for index, image in enumerate(images):
            data = cv2.imencode(".jpg", image)[1].ravel()
            stamp = store.types["builtin_interfaces/msg/Time"](*divmod(10**11 + index * 10**8, 10**9))
            header = store.types["std_msgs/msg/Header"](stamp, "camera")
            message = store.types[kind](header, "jpeg", data[: len(data) // 2] if index == LOST else data)
            writer.write(connection, 10**11 + index * 10**8, store.serialize_cdr(message, kind))
    next(recording.glob("*.mcap")).rename(source)


def _half_video(source: Path, images: list[NDArray[np.uint8]]) -> None:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (width, height), images[0].ndim == 3)
    for image in images:
        writer.write(image)
    writer.release()
    data = bytearray(source.read_bytes())
    at = [match for match in range(len(data)) if data[match : match + 4] == b"00dc"][LOST]
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    source.write_bytes(data)
