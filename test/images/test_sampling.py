import pytest

from silk_ros.images.sampling import evenly_spaced, spaced_to_ends, spread


def test_evenly_spaced_takes_the_middles_of_equal_parts() -> None:
    assert evenly_spaced(10, 2) == [2, 7] and evenly_spaced(3, 5) == [0, 1, 2]
    assert evenly_spaced(3, 0) == evenly_spaced(0, 3) == []


def test_spaced_to_ends_includes_the_first_and_the_last() -> None:
    assert spaced_to_ends(0, 9, 3) == [0, 4, 8] and spaced_to_ends(5, 8, 9) == [5, 6, 7]
    assert spaced_to_ends(0, 0, 3) == []


@pytest.mark.parametrize("total", [0, 1, 7, 8, 9, 100, 1000])
def test_spread_keeps_equal_distances_of_a_stream(total: int) -> None:
    kept = spread(iter(range(total)), 8)
    assert len(kept) <= 8 and (len(kept) > 4 or len(kept) == total)
    assert kept == list(range(0, total, kept[1] - kept[0] if len(kept) > 1 else 1))
