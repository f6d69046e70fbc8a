from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from silk_ros.backends.tensorrt.engine_cache import MAGIC, EngineCache, Key

KEY: Key = {"model_sha256": "a", "gpu": "Orin", "height": 480, "width": 640}
ENGINE = bytes(range(256)) * 40 + b"\n" + MAGIC  # with line ends inside
FACTS = {"build_seconds": 3.5, "overlap": 0.99}


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path)


def file_of(cache: EngineCache, key: Key = KEY) -> Path:
    path = cache.path(key)
    assert path is not None
    return path


def test_what_is_saved_is_loaded(cache: EngineCache) -> None:
    assert cache.load(KEY) is None
    cache.save(KEY, ENGINE, FACTS)
    loaded = cache.load(KEY)
    assert loaded is not None and loaded.engine == ENGINE and loaded.facts == FACTS


@pytest.mark.parametrize(
    "change", [{"model_sha256": "b"}, {"gpu": "Thor"}, {"height": 481}, {"width": "640"}, {"batch": 2}]
)
def test_any_other_key_is_another_engine(cache: EngineCache, change: dict) -> None:
    cache.save(KEY, ENGINE, FACTS)
    assert cache.load({**KEY, **change}) is None
    assert cache.path({**KEY, **change}) != cache.path(KEY)


def test_the_order_of_a_key_does_not_matter(cache: EngineCache) -> None:
    assert cache.path(KEY) == cache.path(dict(reversed(KEY.items())))


def test_files_are_the_users_alone(cache: EngineCache) -> None:
    cache.save(KEY, ENGINE, FACTS)
    assert file_of(cache).stat().st_mode & 0o077 == 0
    assert [path.name for path in cache.folder.iterdir()] == [file_of(cache).name]  # nothing half written


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:-100], "truncated or damaged"),
        (lambda content: content[: len(MAGIC) + 20], ""),
        (lambda content: b"", "no engine of silk_ros"),
        (lambda content: content[:-1] + b"?", "truncated or damaged"),
        (lambda content: content.replace(b'"Orin"', b'"Thor"'), "another model, machine or setting"),
        (lambda content: content.replace(b'"sha256": "', b'"sha256": "0'), "truncated or damaged"),
        (lambda content: MAGIC + b"[]\n" + ENGINE, "header is damaged"),
        (lambda content: MAGIC + b"\xff\xfe\n" + ENGINE, ""),
        (lambda content: b"#!/bin/sh\n" + content, "no engine of silk_ros"),
    ],
)
def test_what_cannot_be_trusted_is_not_loaded(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, change: object, reason: str
) -> None:
    cache.save(KEY, ENGINE, FACTS)
    path = file_of(cache)
    path.write_bytes(change(path.read_bytes()))
    assert cache.load(KEY) is None
    assert "building it again" in caplog.text and reason in caplog.text
    cache.save(KEY, ENGINE, FACTS)
    assert cache.load(KEY) is not None


def test_a_file_that_others_can_write_is_not_loaded(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.save(KEY, ENGINE, FACTS)
    file_of(cache).chmod(0o666)
    assert cache.load(KEY) is None
    assert "others than the user could have written it" in caplog.text


def test_an_engine_of_another_key_under_this_name_is_not_loaded(cache: EngineCache) -> None:
    other = {**KEY, "gpu": "Thor"}
    cache.save(other, ENGINE, FACTS)
    file_of(cache, other).rename(file_of(cache))
    assert cache.load(KEY) is None


def test_without_a_folder_nothing_is_kept_and_all_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache = EngineCache()
    assert cache.folder is None and "no cache for compiled networks" in caplog.text
    cache.save(KEY, ENGINE, FACTS)
    with cache.building(KEY):
        assert cache.load(KEY) is None and cache.last_build_seconds() is None


def test_a_full_disk_is_said_and_lived_with(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    cache.save(KEY, ENGINE, FACTS)
    assert "No space left on device" in caplog.text and cache.load(KEY) is None
    assert not list(cache.folder.iterdir()), "nothing half written stays"


def test_the_slowest_build_is_remembered(cache: EngineCache) -> None:
    cache.save(KEY, ENGINE, {"build_seconds": 3.5})
    cache.save({**KEY, "width": 320}, ENGINE, {"build_seconds": 40})
    (cache.folder / "damaged.engine").write_bytes(b"?")
    assert cache.last_build_seconds() == 40


def test_an_empty_engine_says_why_it_was_refused(cache: EngineCache) -> None:
    cache.save(KEY, b"", {"refused": "it lost too much"})
    loaded = cache.load(KEY)
    assert loaded is not None and not loaded.engine and loaded.facts["refused"] == "it lost too much"


def test_a_link_is_not_followed(cache: EngineCache, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.save(KEY, ENGINE, FACTS)
    file_of(cache).rename(tmp_path / "elsewhere")
    file_of(cache).symlink_to(tmp_path / "elsewhere")
    assert cache.load(KEY) is None and "building it again" in caplog.text


def test_a_file_of_another_user_is_not_loaded(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.save(KEY, ENGINE, FACTS)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.load(KEY) is None
    assert "others than the user" in caplog.text


def test_facts_are_as_trusted_as_the_engine(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.save(KEY, ENGINE, FACTS)
    path = file_of(cache)
    path.write_bytes(path.read_bytes().replace(b"0.99", b"0.98", 1))
    assert cache.load(KEY) is None


def test_without_a_lock_it_builds_all_the_same(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with cache.building(KEY):
        cache.save(KEY, ENGINE, FACTS)
    assert "No locks available" in caplog.text and cache.load(KEY) is not None


def test_two_builders_build_once(cache: EngineCache) -> None:
    program = f"""
import sys, time
from pathlib import Path
from silk_ros.backends.tensorrt.engine_cache import EngineCache
key, cache = {dict(KEY)!r}, EngineCache(Path(sys.argv[1]))
print("ready", flush=True)
input()
with cache.building(key):
    if cache.load(key) is None:
        time.sleep(0.3)
        cache.save(key, b"engine", {{}})
        print("built")
"""
    command = [sys.executable, "-c", program, str(cache.folder)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(printed) == ["", "built\n"] and [process.returncode for process in processes] == [0, 0]
    loaded = cache.load(KEY)
    assert loaded is not None and loaded.engine == b"engine"


def test_one_who_waits_for_another_builder_says_so(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    with open(file_of(cache).with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=lambda: cache.building(KEY).__enter__())
        with caplog.at_level(logging.WARNING):
            waiting.start()
            deadline = time.monotonic() + 10
            while "waiting for it" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
        assert "another process builds this engine" in caplog.text
        fcntl.flock(lock, fcntl.LOCK_UN)
        waiting.join(10)
        assert not waiting.is_alive()
