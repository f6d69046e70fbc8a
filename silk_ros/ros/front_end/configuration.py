"""What the worker works by. Made aside, whole and checked, so that a change takes effect between two images or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...extractor import Extractor
from ...images.mask import read_mask
from ..descriptor_formats import encoder
from .settings import Settings


@dataclass(frozen=True, eq=False)
class Plan:
    """encode: what turns descriptors (N, D) into the format of the feature cloud. mask: (H, W) uint8 of `mask_file`."""

    settings: Settings
    extractor: Extractor
    encode: Callable[[NDArray[np.float32]], NDArray[Any]]
    mask: NDArray[np.uint8] | None

    @classmethod
    def of(cls, settings: Settings, extractor: Extractor | None = None) -> Plan:
        """Loads the network if none is given that fits the settings.

        Raises OSError, ValueError or ImportError, naming the fix, where that fails.
        """
        extractor = extractor or settings.network.load()
        mask = read_mask(settings.mask_file) if settings.mask_file else None
        return cls(settings, extractor, encoder(settings.descriptor_format, extractor.backend), mask)

    def changed(self, settings: Settings) -> Plan:
        """The plan of other settings, with what they leave of this one. Raises as `of` does."""
        if settings.network != self.settings.network:
            return Plan.of(settings)
        if settings.descriptor_format != self.settings.descriptor_format:
            return Plan.of(settings, self.extractor)
        return replace(self, settings=settings)

    def try_on(self, shape: tuple[int, ...]) -> None:
        """Run a new network on a blank image (H, W), so that the first real one finds it compiled."""
        self.extractor(np.zeros(shape, np.uint8))
