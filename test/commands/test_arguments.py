from __future__ import annotations

import argparse

import pytest

from silk_ros.commands.arguments import image_size, positive


def test_what_is_meant_is_read() -> None:
    assert positive("1") == 1 and positive("5000") == 5000
    assert image_size("640x480") == (640, 480)


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "many", ""])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=rf"'{text}' is not a whole number of at least 1"):
        positive(text)


@pytest.mark.parametrize("text", ["640", "640x", "x480", "640x480x3", "0x5", "-1x5", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=rf"'{text}' is not a size such as 640x480"):
        image_size(text)
