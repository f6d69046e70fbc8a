"""The loaded configuration of the worker: settings with their network, descriptor format and mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..descriptor_formats import encoder
from ..extractor import Extractor
from ..images.mask import read_mask
from .settings import Settings


@dataclass(frozen=True, eq=False)
class Configuration:
    """Settings, and what was loaded for them.

    encode: turns descriptors (N, D) into the format of the feature cloud. mask: (H, W) uint8 of `mask_file`.
    """

    settings: Settings
    extractor: Extractor
    encode: Callable[[NDArray[np.float32]], NDArray[Any]]
    mask: NDArray[np.uint8] | None

    @classmethod
    def load(cls, settings: Settings, extractor: Extractor | None = None) -> Configuration:
        """The configuration for settings; loads the network unless an extractor that fits them is given.

        Raises OSError, ValueError or ImportError, naming the fix, where that fails.
        """
        extractor = extractor or settings.network.load()
        mask = read_mask(settings.mask_file) if settings.mask_file else None
        return cls(settings, extractor, encoder(settings.descriptor_format, extractor.backend), mask)

    @property
    def summary(self) -> str:
        """The network, and how many keypoints it gives, in a few words."""
        extractor = self.extractor
        keypoints = f"up to {extractor.max_keypoints} keypoints at scale {extractor.scale:g}"
        return f"{extractor.backend.model.name}, {keypoints}"

    def changed(self, settings: Settings) -> Configuration:
        """The configuration for other settings; keeps what they do not change. Raises as `load` does."""
        if settings.network != self.settings.network:
            return Configuration.load(settings)
        if settings.descriptor_format != self.settings.descriptor_format:
            return Configuration.load(settings, self.extractor)
        return replace(self, settings=settings)

    def warm_up(self, shape: tuple[int, ...]) -> None:
        """Run the network on a blank image (H, W), so that it is compiled before the first real one comes."""
        self.extractor(np.zeros(shape, np.uint8))
