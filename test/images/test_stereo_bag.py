"""Pairs of two topics of a recording."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from recorded import BASE, FORMATS, STEP, Message, image_message, indexes, info_message, write

from silk_ros.images.source import SourceImage
from silk_ros.images.sources import open_source
from silk_ros.images.stereo_bag import StereoBagSource

LEFT, RIGHT = "/left/image_raw", "/right/image_raw"
CLOSE = 10**7  # nanoseconds


def image(topic: str, index: int, shift: int = 0, delay: int = 0, **changed: object) -> Message:
    """The image of a place, whose stamp is shifted, received after a delay in nanoseconds."""
    stamp = BASE + index * STEP + shift
    message = image_message(index, stamp, frame_id=topic[1:].partition("/")[0])
    for name, value in changed.items():
        setattr(message, name, value)
    return topic, stamp + delay, message


def pairs(path: Path, messages: list[Message], max_interval: int = 0, storage: str = "mcap") -> list[SourceImage]:
    recording = write(path / "recording", sorted(messages, key=lambda message: message[1]), storage)
    return list(open_source(str(recording), LEFT, right_topic=RIGHT, max_interval=max_interval))


@pytest.mark.parametrize("storage", FORMATS)
def test_images_of_equal_stamps_are_pairs_however_late_one_side_comes(tmp_path: Path, storage: str) -> None:
    messages = [image(LEFT, index) for index in range(5)]
    messages += [image(RIGHT, index, delay=3 * STEP) for index in range(5)]
    messages += [(f"/{side}/camera_info", BASE, info_message(BASE, frame_id=side)) for side in ("left", "right")]
    found = pairs(tmp_path, messages, storage=storage)
    assert indexes(found) == indexes(pair.right for pair in found if pair.right) == [0, 1, 2, 3, 4]
    first = found[0]
    assert first.right is not None and first.camera is not None and first.right.camera is not None
    assert (first.frame_id, first.right.frame_id, first.stamp) == ("left", "right", BASE)


@pytest.mark.parametrize(("max_interval", "expected"), [(0, []), (CLOSE, [0, 1, 2])])
def test_close_stamps_are_pairs_only_within_the_interval(
    tmp_path: Path, max_interval: int, expected: list[int]
) -> None:
    messages = [image(LEFT, index) for index in range(3)]
    messages += [image(RIGHT, index, shift=CLOSE if index % 2 else -CLOSE) for index in range(3)]
    if not expected:
        with pytest.raises(ValueError, match="the other camera has no image of that time"):
            pairs(tmp_path, messages, max_interval)
        return
    found = pairs(tmp_path, messages, max_interval)
    assert indexes(found) == expected and found[1].right is not None
    assert found[1].right.stamp == BASE + STEP + CLOSE


def test_images_without_the_other_one_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [image(LEFT, index) for index in (0, 1, 3, 4)] + [image(RIGHT, index) for index in (1, 2, 3)]
    found = pairs(tmp_path, messages)
    assert indexes(found) == [1, 3]
    assert "left image at 1700000000.000000 s: left out: the other camera has no image of that time" in caplog.text
    assert "2 images were read, 3 were left out" in caplog.text


def test_a_left_image_is_used_alone_where_the_right_one_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = {"data": np.zeros(7, np.uint8)}
    messages = [image(LEFT, index, **(damaged if index == 3 else {})) for index in range(5)]
    messages += [image(RIGHT, index, **(damaged if index == 1 else {})) for index in range(5)]
    found = pairs(tmp_path, messages)
    assert indexes(found) == [0, 1, 2, 4]
    assert [pair.right is not None for pair in found] == [True, False, True, True]
    assert "message 2 of /right/image_raw: left out" in caplog.text
    assert "4 images were read, 2 were left out" in caplog.text


def test_a_recording_that_starts_again_has_the_pairs_of_both_parts(tmp_path: Path) -> None:
    messages = [image(topic, index) for index in range(2, 5) for topic in (LEFT, RIGHT)]
    again = [image(topic, index, delay=10 * STEP) for index in range(3) for topic in (LEFT, RIGHT)]
    assert indexes(pairs(tmp_path, messages + again)) == [2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize("late_side", [LEFT, RIGHT])
def test_a_recording_that_starts_again_after_one_side_ended_has_the_pairs_of_both_parts(
    tmp_path: Path, late_side: str
) -> None:
    messages = [image(topic, index) for index in range(7) for topic in (LEFT, RIGHT) if topic != late_side or index < 4]
    again = [image(topic, index, delay=10 * STEP) for index in range(3) for topic in (LEFT, RIGHT)]
    assert indexes(pairs(tmp_path, messages + again)) == [0, 1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize("side", [LEFT, RIGHT])
@pytest.mark.parametrize(
    ("stamps", "lost"),
    [
        ([0, 1, 2, 3, 2.99, 5, 6, 7, 8, 9], [4]),  # late
        ([0, 1, 2, 4, 3, 5, 6, 7, 8, 9], [3]),  # swapped
        ([0, 1, 2, 3, 4, 5, 0, 1, 2, 9], [6, 7, 8]),  # the clock of one camera is wrong for a while
    ],
)
def test_stamps_of_one_side_that_go_back_cost_only_their_own_pairs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, side: str, stamps: list[float], lost: list[int]
) -> None:
    other = RIGHT if side == LEFT else LEFT
    messages = [image(other, index) for index in range(10)]
    for index, stamp in enumerate(stamps):
        shift = round((stamp - index) * STEP)
        messages.append(image(side, index, shift=shift, delay=-shift))
    found = pairs(tmp_path, messages)
    kept = [BASE + index * STEP for index in range(10) if index not in lost]
    assert [pair.stamp for pair in found] == [pair.right.stamp for pair in found if pair.right] == kept
    assert f"{len(kept)} images were read, {2 * len(lost)} were left out" in caplog.text


def test_stamps_that_go_back_on_each_side_in_other_places_are_no_new_start(tmp_path: Path) -> None:
    late, shift = {(LEFT, 3), (RIGHT, 6)}, round(-1.01 * STEP)
    places = [(topic, index) for topic in (LEFT, RIGHT) for index in range(10)]
    messages = [image(*place, shift, -shift) if place in late else image(*place) for place in places]
    found = pairs(tmp_path, messages)
    assert [pair.stamp for pair in found] == [BASE + index * STEP for index in (0, 1, 2, 4, 5, 7, 8, 9)]


def test_what_is_read_is_said_of_both_sides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pairs(tmp_path, [image(topic, index) for index in range(2) for topic in (LEFT, RIGHT)])
    assert f"left: the images are those of {LEFT}" in caplog.text
    assert f"right: the images are those of {RIGHT}" in caplog.text


def test_topics_that_are_no_pair_are_refused_with_the_fix(tmp_path: Path) -> None:
    recording = write(tmp_path / "recording", [image(topic, 0) for topic in (LEFT, RIGHT)])
    with pytest.raises(ValueError, match="is the topic of the left and of the right images"):
        StereoBagSource(recording, "", LEFT)
    with pytest.raises(ValueError, match="no image topic '/nowhere'"):
        StereoBagSource(recording, LEFT, "/nowhere")
    with pytest.raises(ValueError, match="'/right' is of a recording, but 'flight' is none"):
        open_source("flight", right_topic="/right")
