"""MCAP files as they are left by recorders, crashes and bad disks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from recorded import BASE, COUNT, ROS1_STORE, STEP, images_on, info_message, infos_on, read, ros1_message, write_mcap

from silk_ros.images.bag import BagSource
from silk_ros.images.storage import mcap_file
from silk_ros.images.storage.mcap_index import read_chunk, read_index
from silk_ros.images.storage.recording import Recording

CHUNKED: dict = {"compression": CompressionType.NONE}
UNCHUNKED: dict = {"use_chunking": False}  # as rosbag2's preset fastwrite writes
VARIANTS = {
    "zstd": {},
    "lz4": {"compression": CompressionType.LZ4},
    "unchunked": UNCHUNKED,
    "no summary": {
        "index_types": IndexType.NONE,
        "repeat_channels": False,
        "repeat_schemas": False,
        "use_statistics": False,
        "use_summary_offsets": False,
    },
    "no message index": {"index_types": IndexType.CHUNK},
    "channels not repeated": {"repeat_channels": False},
    "no statistics": {"use_statistics": False},
}
ALL_VARIANTS = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)


def chunk_offsets(path: Path) -> list[int]:
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
        assert summary is not None
        return [chunk.chunk_start_offset for chunk in summary.chunk_indexes]


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@ALL_VARIANTS
def test_every_way_of_writing_is_read(tmp_path: Path, options: dict, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mcap(tmp_path / "a.mcap", [*images_on(), *infos_on(delay=1)], **options)
    assert read(path) == list(range(COUNT))
    assert not caplog.messages


@ALL_VARIANTS
def test_messages_are_sorted_by_their_time(tmp_path: Path, options: dict) -> None:
    """Several publishers are recorded late, in chunks that overlap and that hold a message of another time."""
    shuffled = [images_on()[index] for index in (3, 0, 9, 1, 2, 7, 4, 8, 6, 5)]
    assert read(write_mcap(tmp_path / "a.mcap", shuffled, **options)) == list(range(COUNT))


@ALL_VARIANTS
def test_what_is_whole_of_a_file_without_its_end_is_read(
    tmp_path: Path, options: dict, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mcap(tmp_path / "a.mcap", [*infos_on(), *images_on()], **options)
    whole = path.read_bytes()
    counts = []
    for share in (0.5, 0.7, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        caplog.clear()
        images = list(BagSource(path))
        counts.append(len(images))
        assert read(path) == list(range(len(images))) and all(image.camera is not None for image in images)
        assert len(images) == COUNT or f"mend it with: mcap recover {path} -o ~/mended.mcap" in caplog.messages[0]
    assert counts == sorted(counts) and 0 < counts[0] < counts[-1]


def test_zeros_after_a_power_cut_are_an_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mcap(tmp_path / "a.mcap", images_on())
    fourth = chunk_offsets(path)[3]
    path.write_bytes(path.read_bytes()[:fourth] + bytes(5000))
    assert read(path) == list(range(6))
    assert f"was cut or is damaged at byte {fourth}" in caplog.text


def test_a_recording_that_is_being_written_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.mcap").open("wb") as file:
        whole = write_mcap(tmp_path / "b.mcap", images_on()).read_bytes()
        file.write(whole[: chunk_offsets(tmp_path / "b.mcap")[2]])
        file.flush()
        assert read(tmp_path / "a.mcap") == list(range(4))


@pytest.mark.parametrize("options", [{}, CHUNKED], ids=["zstd", "none"])
def test_a_damaged_chunk_loses_its_own_messages(
    tmp_path: Path, options: dict, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mcap(tmp_path / "a.mcap", images_on(), **options)
    chunk = chunk_offsets(path)[1]
    damage(path, chunk + 200, bytes(range(100, 180)))
    source = BagSource(path)
    assert len(list(source)) == COUNT - 2 and read(path) == [0, 1, 4, 5, 6, 7, 8, 9]
    assert f"chunk at byte {chunk} of a.mcap: left out: the chunk is damaged" in caplog.messages[0]
    assert "8 images were read, 2 were left out" in caplog.messages[1]


def test_a_damaged_chunk_of_other_topics_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mcap(tmp_path / "a.mcap", [*images_on(), *infos_on("/other/camera_info", delay=10**10)])
    damage(path, chunk_offsets(path)[-1] + 100, b"damage" * 5)
    assert read(path) == list(range(COUNT)) and not caplog.messages


def test_a_damaged_index_is_not_needed(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", images_on())
    damage(path, path.stat().st_size - 300, b"damage" * 5)
    assert read(path) == list(range(COUNT))


def test_messages_behind_damage_outside_of_chunks_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The statistics tell how many there were."""
    path = write_mcap(tmp_path / "a.mcap", images_on(), **UNCHUNKED)
    with path.open("rb") as file:
        sixth = read_index(file).pieces[5].offset
    damage(path, sixth, bytes(2000))
    assert read(path) == list(range(5))
    assert "end of a.mcap: left out" in caplog.text and "5 images were read, 5 were left out" in caplog.text


@pytest.mark.parametrize("options", [CHUNKED, {"index_types": IndexType.CHUNK, **CHUNKED}, {}], ids=str)
@pytest.mark.parametrize(
    ("hits", "told"), [([2], "8 images were read, 2 were left out"), ([1, 3], "6 images were read, 4 were left out")]
)
def test_lost_messages_are_counted_once(
    tmp_path: Path, options: dict, hits: list[int], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Message indexes or the statistics tell how many a damaged chunk has."""
    path = write_mcap(tmp_path / "a.mcap", images_on(), **options)
    chunks = chunk_offsets(path)
    for hit in hits:
        damage(path, chunks[hit] + 200, bytes(range(100, 180)))
    assert len(read(path)) == COUNT - 2 * len(hits)
    assert told in caplog.text


@pytest.mark.parametrize("has_end", [True, False])
def test_it_is_said_when_the_number_of_losses_is_not_known(
    tmp_path: Path, has_end: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mcap(tmp_path / "a.mcap", images_on(), **CHUNKED)
    damage(path, chunk_offsets(path)[3], bytes(100))
    if not has_end:
        path.write_bytes(path.read_bytes()[:-30])
    assert len(read(path)) == (8 if has_end else 6)
    assert ("and how much is lost behind it is not known; mend" in caplog.messages[0]) != has_end
    assert ("8 images were read, 2 were left out" in caplog.text) == has_end


@pytest.mark.parametrize("scanned", [False, True])
def test_few_chunks_are_open_at_a_time(tmp_path: Path, scanned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic with one early time in all chunks does not open them all."""
    messages = []
    for topic, time, message in images_on():
        messages += [(topic, time, message), ("/other/camera_info", 0, info_message(0))]
    path = write_mcap(tmp_path / "a.mcap", messages)
    if scanned:
        path.write_bytes(path.read_bytes()[:-30])
    opened: list[int] = []

    def read_and_count(file: Any, offset: int) -> Any:
        opened.append(offset)
        return read_chunk(file, offset)

    monkeypatch.setattr(mcap_file, "read_chunk", read_and_count)
    counts = [len(opened) for _ in Recording(path).read(["/image_raw"])]
    assert len(counts) == COUNT and counts[0] == 1 and counts[-1] >= COUNT // 2
    assert all(after - before <= 1 for before, after in pairwise(counts))


def test_messages_of_ros_1_are_read(tmp_path: Path) -> None:
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = McapWriter(file)
        writer.start("ros1", "test")
        schema = writer.register_schema("sensor_msgs/Image", "ros1msg", b"")
        channel = writer.register_channel("/image_raw", "ros1", schema)
        for _, time, message in images_on():
            data = bytes(ROS1_STORE.serialize_ros1(ros1_message(message), message.__msgtype__))
            writer.add_message(channel, time, data, time)
        writer.finish()
    source = BagSource(tmp_path / "a.mcap")
    assert [image.stamp for image in source] == [BASE + index * STEP for index in range(COUNT)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"#ROSBAG V2.0\n", "it is no MCAP file"),
        (b"\x89MCAP0\r\n", "it was cut before its first whole message"),
    ],
)
def test_a_file_without_messages_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.mcap").write_bytes(data)
    with pytest.raises(ValueError, match=rf"cannot read the recording '.*a.mcap' \({reason}\): record again"):
        BagSource(tmp_path / "a.mcap")
