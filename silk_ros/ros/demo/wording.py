"""Numbers as words of a text."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as 1 image or 2 images."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def hertz(rate: float) -> str:
    """A rate in Hz with two digits or more, and never with an exponent."""
    return f"{rate:.0f} Hz" if rate >= 10 else f"{rate:.1f} Hz" if rate >= 1 else f"{rate:.2f} Hz"


def share(value: float) -> str:
    """A share in percent; unknown for NaN."""
    return f"{value:.1%}" if value == value else "unknown"
