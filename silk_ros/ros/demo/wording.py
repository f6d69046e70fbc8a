"""Rates and shares as words of a text."""

from __future__ import annotations


def hertz(rate: float) -> str:
    """A rate in Hz with two digits or more, and never with an exponent."""
    return f"{rate:.0f} Hz" if rate >= 10 else f"{rate:.1f} Hz" if rate >= 1 else f"{rate:.2f} Hz"


def share(value: float) -> str:
    """A share in percent; unknown for NaN."""
    return f"{value:.1%}" if value == value else "unknown"
