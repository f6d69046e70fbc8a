"""Fixtures of several tests: a natural image, views of it, and the shipped network without a cap on keypoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from skimage import data

from silk_ros import Extractor

# No verdict on how long a busy machine takes for an example.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled networks of the tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """A node of another test that logs what the package says must not add to what a test reads of the log."""
    logging.getLogger("silk_ros").setLevel(logging.NOTSET)
    yield


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A natural grey image (240, 320). Read-only, so that code that writes into its input is found out."""
    image = np.ascontiguousarray(data.camera()[60:300, 120:440])
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    """The shipped network; gives a keypoint for every position of small images."""
    return Extractor.load(max_keypoints=100_000)


@pytest.fixture(autouse=True)
def skip_without_gpu(request: pytest.FixtureRequest) -> None:
    """Tests marked `gpu` are skipped, with the reason, where CUDA finds none."""
    if request.node.get_closest_marker("gpu") is None:
        return
    from silk_ros.backends import BackendUnavailable
    from silk_ros.backends.tensorrt.cuda import gpu

    try:
        gpu()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def frames(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder of views that move over the photo."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(10):
        cv2.imwrite(str(folder / f"{index:02}.png"), photo[index : index + 200, 2 * index : 2 * index + 280])
    return folder
