from __future__ import annotations

from silk_ros.words import counted, was


def test_a_number_of_things_reads_like_text() -> None:
    assert [counted(number, "image") for number in (0, 1, 2, 5000)] == [
        "0 images",
        "1 image",
        "2 images",
        "5,000 images",
    ]
    assert [counted(number, "match", "matches") for number in (1, 2)] == ["1 match", "2 matches"]
    assert [was(number) for number in (0, 1, 2)] == ["were", "was", "were"]
