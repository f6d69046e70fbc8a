"""Words around numbers, for the texts of all rooms."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number of things in words: "1 image", "2 images". plural: of a noun that takes no "s"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def was(count: int) -> str:
    """The verb of a sentence about a number of things."""
    return "was" if count == 1 else "were"
