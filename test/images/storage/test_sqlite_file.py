"""SQLite files as they are left by recorders, crashes and bad disks."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
import zstandard
from recorded import BASE, COUNT, STEP, STORE, Message, data_file, image_message, images_on, infos_on, read, write

from silk_ros.images.bag import BagSource

IN_WAL = 6  # the last images


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return shutil.copy(data_file(write(tmp_path / "bag", images_on(), "sqlite3")), tmp_path / "a.db3")


@contextmanager
def recorder(database: Path) -> Iterator[sqlite3.Connection]:
    """A recorder with a write-ahead log, which holds the last images."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        rows = connection.execute("select id, topic_id, timestamp, data from messages order by timestamp").fetchall()
        connection.execute("delete from messages where timestamp >= ?", (rows[-IN_WAL][2],))
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma wal_autocheckpoint = 0")
        query = "insert into messages(id, topic_id, timestamp, data) values (?, ?, ?, ?)"
        connection.executemany(query, rows[-IN_WAL:])
        yield connection


@pytest.mark.parametrize("suffixes", [("", "-wal", "-shm"), ("", "-wal")])
@pytest.mark.parametrize("name", ["a.db3", "#1 50% full?.db3"])
def test_the_log_of_a_crash_is_read_and_kept(
    database: Path, tmp_path: Path, suffixes: tuple[str, ...], name: str
) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with recorder(database):
        for suffix in suffixes:
            shutil.copy(f"{database}{suffix}", f"{crashed / name}{suffix}")
    before = files(crashed)
    assert read(crashed / name) == list(range(COUNT))
    after = files(crashed)
    assert after.keys() == before.keys()
    assert all(after[file] == before[file] for file in before if not file.endswith("-shm"))


def test_a_recording_that_is_being_written_is_read(database: Path) -> None:
    with recorder(database) as connection:
        assert read(database) == list(range(COUNT))
        images = iter(BagSource(database))
        next(images)
        data = bytes(STORE.serialize_cdr(image_message(COUNT), "sensor_msgs/msg/Image"))
        connection.execute("insert into messages(topic_id, timestamp, data) values (1, ?, ?)", (BASE + 10**10, data))
        assert len(list(images)) == COUNT - 1


def test_nothing_is_left_beside_a_recording_that_ended_well(database: Path, tmp_path: Path) -> None:
    """Its database may still be in the mode of write-ahead logs."""
    with recorder(database):
        pass
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(database, folder)
    assert read(folder) == list(range(COUNT))
    assert [path.name for path in folder.iterdir()] == ["a.db3"]


def page_of(database: Path, text: bytes) -> int:
    """The start of the page with some bytes."""
    return database.read_bytes().index(text) // 4096 * 4096


def zero_page(database: Path, start: int) -> None:
    with database.open("r+b") as file:
        file.seek(start)
        file.write(bytes(4096))


@pytest.mark.parametrize("indexed", [True, False])
def test_a_damaged_page_loses_its_own_messages(tmp_path: Path, indexed: bool, caplog: pytest.LogCaptureFixture) -> None:
    messages = sorted([*images_on(), *infos_on(delay=1)], key=lambda message: message[1])
    database = data_file(write(tmp_path / "bag", messages, "sqlite3"))
    if not indexed:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("drop index timestamp_idx")
    zero_page(database, page_of(database, messages[10][2].data.tobytes()[:200]))
    images = read(database)
    lost = sorted(set(range(COUNT)) - set(images))
    assert images == sorted(images) and 5 in lost and lost == list(range(lost[0], lost[-1] + 1)) and len(lost) < 6
    assert "is damaged (database disk image is malformed): what is whole is read; mend it with: sqlite3" in caplog.text
    assert (
        f"{len(images)} images were read, " in caplog.text and "row 11 of bag.db3: left out: " not in caplog.messages[0]
    )


def large_images(count: int) -> list[Message]:
    noise = np.random.default_rng(0).integers(0, 256, (count, 200, 300), np.uint8)
    return [("/image_raw", BASE + index * STEP, image_message(index, pixels=noise[index])) for index in range(count)]


def test_damage_inside_of_an_image_loses_that_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A large message continues on pages of its own."""
    database = data_file(write(tmp_path / "bag", large_images(4), "sqlite3"))
    pixels = [message.data for _, _, message in large_images(4)]
    zero_page(database, page_of(database, pixels[2].tobytes()[30000:30100]))
    stamps = [image.stamp for image in BagSource(database)]
    assert stamps == [BASE + index * STEP for index in (0, 1, 3)]
    assert (
        f"row 3 of bag.db3: left out: the database is damaged: mend it with: sqlite3 {database} .recover" in caplog.text
    )


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_what_is_whole_of_a_database_that_was_cut_is_read(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    database = data_file(write(tmp_path / "bag", large_images(COUNT), "sqlite3"))
    whole = database.read_bytes()
    database.write_bytes(whole[: int(len(whole) * share)])
    images = list(BagSource(database))
    assert [image.stamp for image in images] == [BASE + index * STEP for index in range(len(images))]
    assert COUNT * share - 3 < len(images) < COUNT * share + 1
    assert f"mend it with: sqlite3 {database} .recover | sqlite3 ~/mended.db3" in caplog.text
    assert f"{len(images)} images were read, {COUNT - len(images)} were left out" in caplog.text


@pytest.mark.parametrize("form", ["files", "message_count", "compressed"])
def test_losses_at_the_end_are_counted_by_the_metadata(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    bag = write(tmp_path / "bag", large_images(COUNT), "sqlite3")
    database, metadata = data_file(bag), bag / "metadata.yaml"
    database.write_bytes(database.read_bytes()[: int(database.stat().st_size * 0.6)])
    content = yaml.safe_load(metadata.read_text())
    if form == "message_count":  # as older recorders write it
        del content["rosbag2_bagfile_information"]["files"]
    else:
        del content["rosbag2_bagfile_information"]["message_count"]
    metadata.write_text(yaml.safe_dump(content))
    if form == "compressed":
        (bag / f"{database.name}.zstd").write_bytes(zstandard.compress(database.read_bytes()))
        database.unlink()
    count = len(list(BagSource(bag)))
    assert 3 < count < 7 and f"{count} images were read, {COUNT - count} were left out" in caplog.text


@pytest.mark.parametrize("kind", ["my_msgs/msg/Camera", "", "???"])
def test_topics_of_foreign_types_cost_nothing(database: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update message_definitions set encoded_message_definition = 'no definition'")
        columns = [row[1] for row in connection.execute("pragma table_info(topics)")]
        values = {"id": 7, "name": "/foreign", "type": kind, "serialization_format": "cdr"}
        marks = ", ".join("?" * len(columns))
        connection.execute(f"insert into topics values ({marks})", [values.get(column, "") for column in columns])
        connection.execute("insert into messages(topic_id, timestamp, data) values (7, 0, x'00')")
        connection.commit()
    assert read(database) == list(range(COUNT)) and not caplog.messages


def test_a_topic_that_was_added_twice_is_one(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table copy as select * from topics")
        connection.execute("update copy set id = 2")
        connection.execute("insert into topics select * from copy")
        connection.execute("update messages set topic_id = 2 where id % 2")
        connection.commit()
    assert read(database) == list(range(COUNT))


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "it is empty"), (b"\0" * 8192, "it is no SQLite file"), (b"SQLite format 3\0", "file is not a database")],
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.db3").write_bytes(data)
    with pytest.raises(ValueError, match=rf"cannot read the recording '.*a.db3' \({reason}\): (record|mend)"):
        BagSource(tmp_path / "a.db3")


def test_another_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db3")) as connection:
        connection.execute("create table other(id)")
    with pytest.raises(ValueError, match="no such table: topics"):
        BagSource(tmp_path / "a.db3")
