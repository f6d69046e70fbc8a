from __future__ import annotations

import threading
import time
from queue import SimpleQueue

import pytest

from silk_ros.ros.front_end.frame_slot import FrameSlot

DEADLINE = 5.0  # seconds


def start_taking(slot: FrameSlot[int]) -> SimpleQueue[int | None]:
    """Where the item will be that another thread takes; one that waits for ever does not hold up the tests."""
    taken: SimpleQueue[int | None] = SimpleQueue()
    threading.Thread(target=lambda: taken.put(slot.take()), daemon=True).start()
    return taken


def test_the_newest_item_wins() -> None:
    slot: FrameSlot[str] = FrameSlot()
    assert [slot.put("old"), slot.put("newer"), slot.put("newest")] == [False, True, True]
    assert slot.take() == "newest"
    assert slot.put("next") is False


def test_take_waits_for_an_item() -> None:
    slot: FrameSlot[int] = FrameSlot()
    taken = start_taking(slot)
    time.sleep(0.05)
    assert taken.empty()
    slot.put(7)
    assert taken.get(timeout=DEADLINE) == 7


@pytest.mark.parametrize("takers", [1, 3])
def test_close_ends_all_waiting(takers: int) -> None:
    slot: FrameSlot[int] = FrameSlot()
    taken = [start_taking(slot) for _ in range(takers)]
    time.sleep(0.05)
    slot.close()
    assert [one.get(timeout=DEADLINE) for one in taken] == [None] * takers


def test_a_closed_slot_gives_nothing_and_does_not_wait() -> None:
    slot: FrameSlot[int] = FrameSlot()
    slot.put(1)
    slot.close()
    slot.put(2)
    assert slot.take() is None


def test_clear_throws_the_item_away() -> None:
    slot: FrameSlot[int] = FrameSlot()
    slot.put(1)
    slot.clear()
    assert slot.put(2) is False
    assert slot.take() == 2


def test_a_slow_taker_sees_only_newer_items_and_the_last() -> None:
    slot: FrameSlot[int] = FrameSlot()
    seen: list[int] = []

    def work() -> None:
        while (item := slot.take()) is not None:
            seen.append(item)
            time.sleep(0.001)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    dropped = sum(slot.put(item) for item in range(1, 2001))
    deadline = time.monotonic() + DEADLINE
    while (not seen or seen[-1] != 2000) and time.monotonic() < deadline:
        time.sleep(0.005)
    slot.close()
    worker.join(DEADLINE)
    assert not worker.is_alive()
    assert seen[-1] == 2000
    assert seen == sorted(set(seen))
    assert len(seen) + dropped == 2000
