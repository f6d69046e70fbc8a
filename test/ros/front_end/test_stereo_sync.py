from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from silk_ros.ros.front_end.stereo_sync import DEPTH, PairSync

MS = 10**6
PERIOD = 33 * MS


def feed(sync: PairSync[str], *items: str) -> list[str]:
    """Put items such as L3 and R3 (camera, stamp in ms), and get the pairs such as L3R3."""
    pairs = []
    for item in items:
        put = sync.put_left if item[0] == "L" else sync.put_right
        pair = put(int(item[1:]) * MS, item)
        pairs += ["".join(pair)] if pair else []
    return pairs


@pytest.mark.parametrize("items", [("L1", "R1", "L2", "R2"), ("R1", "L1", "R2", "L2"), ("L1", "L2", "R1", "R2")])
def test_equal_stamps_are_paired_whichever_comes_first(items: tuple[str, ...]) -> None:
    sync: PairSync[str] = PairSync()
    assert feed(sync, *items) == ["L1R1", "L2R2"]
    assert (sync.left.unpaired, sync.right.unpaired) == (0, 0)


def test_unequal_stamps_are_not_paired_exactly() -> None:
    assert feed(PairSync(), "L10", "R11", "L20", "R21") == []


def test_close_stamps_are_paired_within_the_interval() -> None:
    sync: PairSync[str] = PairSync(max_interval=5 * MS)
    assert feed(sync, "L0", "R5", "R38", "L33", "L66", "R72", "R99", "L99") == ["L0R5", "L33R38", "L99R99"]
    assert (sync.left.unpaired, sync.right.unpaired) == (1, 1)  # L66 and R72 are 6 ms apart


def test_the_nearest_of_those_that_wait_is_the_partner() -> None:
    assert feed(PairSync(max_interval=50 * MS), "R0", "R10", "R22", "L12") == ["L12R10"]


def test_a_camera_that_is_late_by_several_images_is_waited_for() -> None:
    late = [f"L{i}" for i in range(4)] + [x for i in range(10) for x in (f"R{i}", f"L{i + 4}")]
    assert feed(PairSync(), *late) == [f"L{i}R{i}" for i in range(10)]


def test_a_camera_that_dies_and_returns_is_paired_again() -> None:
    sync: PairSync[str] = PairSync()
    alone = [f"L{i}" for i in range(1, 100)]
    assert feed(sync, "L0", "R0", *alone, "R100", "L100") == ["L0R0", "L100R100"]
    assert (sync.left.unpaired, sync.right.unpaired) == (99, 0)


def test_images_that_wait_in_vain_are_let_go() -> None:
    class Image:
        alive = 0

        def __init__(self) -> None:
            Image.alive += 1

        def __del__(self) -> None:
            Image.alive -= 1

    sync: PairSync[Image] = PairSync()
    for stamp in range(1000):
        sync.put_right(stamp, Image())
    assert Image.alive == DEPTH
    assert sync.right.unpaired == 1000 - DEPTH
    sync.clear()
    assert Image.alive == 0


def test_what_the_other_camera_has_passed_is_let_go_at_once() -> None:
    sync: PairSync[str] = PairSync(max_interval=5 * MS)
    feed(sync, "L0", "L33", "R66")
    assert sync.left.unpaired == 2


def test_a_recording_that_starts_again_is_paired_from_its_start() -> None:
    sync: PairSync[str] = PairSync()
    assert feed(sync, "L100", "R100", "L101", "L5", "R5", "L6", "R6") == ["L100R100", "L5R5", "L6R6"]
    assert sync.left.unpaired == 1


def test_images_of_before_and_after_a_jump_are_not_mixed() -> None:
    sync: PairSync[str] = PairSync()
    feed(sync, "R100", "R101", "L0", "R0")
    assert feed(sync, "R1", "L1", "L100", "L101") == ["L1R1"]


def test_stamps_of_zero_pair_what_comes_together() -> None:
    """Drivers that fill in no stamp."""
    assert feed(PairSync(), *["L0", "R0"] * 3) == ["L0R0"] * 3


@given(
    st.integers(0, 20 * MS),
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(-3 * MS, 3 * MS)), max_size=60),
)
def test_whatever_comes_each_image_is_in_one_close_pair_or_counted(
    interval: int, events: list[tuple[bool, int, int]]
) -> None:
    sync: PairSync[tuple[int, int]] = PairSync(interval)
    pairs, sent = [], [0, 0]
    for number, (is_left, frame, jitter) in enumerate(events):
        stamp = frame * PERIOD + jitter
        pair = (sync.put_left if is_left else sync.put_right)(stamp, (number, stamp))
        sent[is_left] += 1
        pairs += [pair] if pair else []
    assert all(abs(left[1] - right[1]) <= interval for left, right in pairs)
    assert all(events[left[0]][0] and not events[right[0]][0] for left, right in pairs)
    for side in (0, 1):
        used = [pair[side][0] for pair in pairs]
        assert len(set(used)) == len(used)
    sync.clear()
    assert [sync.right.unpaired + len(pairs), sync.left.unpaired + len(pairs)] == sent


def test_an_interval_out_of_range_is_explained() -> None:
    with pytest.raises(ValueError, match="max_interval must be 0"):
        PairSync(max_interval=-1)
