"""Types of the values of a command's arguments, which raise ArgumentTypeError, naming the expected form."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def hertz(text: str) -> float:
    """A rate above 0, in Hz."""
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a rate above 0 in Hz, such as 30")
    return rate


def image_size(text: str) -> tuple[int, int]:
    """Width and height of WxH, in pixels."""
    width, x, height = text.partition("x")
    if not (x and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 640x480")
    return int(width), int(height)
