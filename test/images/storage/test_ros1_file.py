"""Bags of ROS 1 as they are left by recorders, crashes and bad disks."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import COUNT, images_on, read, write_ros1
from rosbags import rosbag1

from silk_ros.images.bag import BagSource


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("hits", [[4], [0, 1], [9]])
def test_a_damaged_chunk_loses_its_own_messages(
    tmp_path: Path, compressed: bool, hits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_ros1(tmp_path / "a.bag", images_on(), compressed=compressed)
    with rosbag1.Reader(path) as reader:
        chunks = [info.pos for info in reader.chunk_infos]
        (entries,) = reader.indexes.values()
        starts = [reader.chunks[entry.chunk_pos].datapos + (0 if compressed else entry.offset) for entry in entries]
    with path.open("r+b") as file:
        for hit in hits:
            file.seek(starts[hit])
            file.write(b"\xff" * 60)
    assert read(path) == [index for index in range(COUNT) if index not in hits]
    assert f"chunk at byte {chunks[hits[0]]} of a.bag: left out: the chunk is damaged" in caplog.messages[0]
    assert ("1 was left out" if len(hits) == 1 else "2 were left out") in caplog.messages[-1]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("part", ["chunk header", "chunk op", "message index", "entries of message index"])
@pytest.mark.parametrize("hits", [[0], [4], [3, 9]])
def test_damage_between_the_messages_loses_those_of_its_chunk(
    tmp_path: Path, compressed: bool, part: str, hits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """The index at the end of a bag tells how many messages a chunk has."""
    path = write_ros1(tmp_path / "a.bag", images_on(), compressed=compressed)
    with rosbag1.Reader(path) as reader:
        chunks = [(info.pos, reader.chunks[info.pos]) for info in reader.chunk_infos]
    with path.open("r+b") as file:
        for position, chunk in (chunks[hit] for hit in hits):
            end = chunk.datapos + chunk.datasize
            places = {"chunk header": position, "chunk op": position + 6, "message index": end}
            file.seek(places.get(part, end + 51))
            file.write(b"\xff" * (47 if part == "message index" else 12))
    assert read(path) == [index for index in range(COUNT) if index not in hits]
    assert f"chunk at byte {chunks[hits[0]][0]} of a.bag: left out: the chunk is damaged" in caplog.messages[0]
    assert ("1 was left out" if len(hits) == 1 else "2 were left out") in caplog.messages[-1]


def test_an_error_without_words_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ros1(tmp_path / "a.bag", images_on())

    def refuse(self: rosbag1.Reader) -> None:
        raise AssertionError

    monkeypatch.setattr(rosbag1.Reader, "open", refuse)
    with pytest.raises(ValueError, match=r"a.bag' \(its index is damaged\): mend it with"):
        BagSource(path)


@pytest.mark.parametrize("name", ["a.bag", "a.bag.active"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_bag_that_was_cut_is_to_be_indexed(tmp_path: Path, name: str, share: float) -> None:
    path = write_ros1(tmp_path / "whole.bag", images_on())
    whole = path.read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    remedy = f"mend it with: rosbag reindex --output-dir ~ {tmp_path}/{name}"
    with pytest.raises(ValueError, match=rf"cannot read the recording .*: {remedy}$"):
        BagSource(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "it is empty"), (b"#ROSBAG V1.1\n", "it is no bag"), (b"\x89MCAP0\r\n", "it is no bag")]
)
def test_another_file_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.bag").write_bytes(data)
    with pytest.raises(ValueError, match=rf"cannot read the recording '.*a.bag' \({reason}.*\): record again"):
        BagSource(tmp_path / "a.bag")


def test_a_name_with_special_characters_is_read(tmp_path: Path) -> None:
    assert read(write_ros1(tmp_path / "#1 50% full?.bag", images_on())) == list(range(COUNT))
