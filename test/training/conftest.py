"""One thread, and small photographs that come with scikit-image."""

from pathlib import Path

import cv2
import pytest
import skimage.data
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two textured photographs, one in each of the sub-folders `cat` and `wall`."""
    root = tmp_path_factory.mktemp("photos")
    for name, image in (("cat", skimage.data.chelsea()[60:220, 100:300, ::-1]), ("wall", skimage.data.brick())):
        (root / name).mkdir()
        cv2.imwrite(str(root / name / "photo.png"), image[:200, :200])
    return root
