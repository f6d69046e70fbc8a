import shutil
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from training.augmentation import RECIPES
from training.data import HomographyPairs, data_hash, find_images, textured_share

SIZE, BORDER = 48, 3
MAP = SIZE - 2 * BORDER


def pairs_of(root: Path, augment: bool = True, recipe: str = "homography", **settings: object) -> HomographyPairs:
    settings = {"size": SIZE, "border": BORDER, "steps": 100} | settings
    pairs = HomographyPairs(root, recipe=recipe, **settings)
    if not augment:
        pairs.augment = A.Compose([])
    return pairs


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def equal(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


FLAT = np.full((100, 100, 3), 128, dtype=np.uint8)
BLACK = np.zeros((100, 100, 3), dtype=np.uint8)
NOISE = np.random.default_rng(0).integers(60, 256, (100, 100, 3), dtype=np.uint8)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_images_are_found_in_all_sub_folders_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpg", "a/deep/3.png"):
        write(tmp_path / name, NOISE)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert names == ["a/deep/3.png", "b/1.jpg", "b/2.PNG"]


@pytest.mark.parametrize("folder", ["", "missing"])
def test_a_folder_without_images_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no images below.*\.jpg"):
        pairs_of(tmp_path / folder)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("this is no image")
    with pytest.raises(ValueError, match=r"broken\.png"):
        pairs_of(tmp_path)[0]


def test_the_data_hash_is_that_of_names_and_contents_and_not_of_the_place(photos: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    assert data_hash(copy) == data_hash(photos)
    write(copy / "wall" / "photo.png", NOISE)
    changed = data_hash(copy)
    (copy / "wall" / "photo.png").rename(copy / "wall" / "other.png")
    assert len({data_hash(photos), changed, data_hash(copy)}) == 3


# --- the items --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_item_is_two_gray_crops_and_their_correspondences(photos: Path, recipe: str) -> None:
    pairs = pairs_of(photos, recipe=recipe, steps=7)
    assert len(pairs) == 7
    for images, correspondences in (pairs[step] for step in range(7)):
        assert images.shape == (2, 1, SIZE, SIZE)
        assert images.dtype == torch.uint8
        assert correspondences.dtype == torch.int64
        assert correspondences.shape[1] == 2
        assert len(correspondences) > 1
        assert correspondences.min() >= 0
        assert correspondences.max() < MAP * MAP


def test_an_item_depends_on_the_seed_and_the_step_alone(photos: Path) -> None:
    first, second, other = pairs_of(photos), pairs_of(photos), pairs_of(photos, seed=1)
    forward = [first[step] for step in range(6)]
    backward = [second[step] for step in reversed(range(6))][::-1]
    assert all(map(equal, forward, backward))
    assert not any(equal(first[step], other[step]) for step in range(6))
    assert not any(equal(first[0], first[step]) for step in range(1, 6))


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_make_the_same_items(photos: Path, workers: int) -> None:
    pairs = pairs_of(photos, steps=5)
    loaded = list(DataLoader(pairs, batch_size=None, num_workers=workers))
    assert all(map(equal, loaded, [pairs[step] for step in range(5)]))


def values_at(images: Tensor, correspondences: Tensor) -> np.ndarray:
    """Grey levels (2, M) of both images at the pixels that correspond."""
    maps = images[:, 0, BORDER:-BORDER, BORDER:-BORDER].flatten(1)
    return torch.stack([maps[0, correspondences[:, 0]], maps[1, correspondences[:, 1]]]).double().numpy()


@pytest.mark.parametrize("recipe", RECIPES)
def test_augmented_images_are_alike_at_their_correspondences(tmp_path: Path, recipe: str) -> None:
    smooth = cv2.normalize(cv2.GaussianBlur(skimage.data.coins(), None, 4), None, 80, 220, cv2.NORM_MINMAX)
    write(tmp_path / "smooth.png", smooth)
    pairs = pairs_of(tmp_path, recipe=recipe, min_texture=0.1)
    likeness = [np.corrcoef(values_at(*pairs[step]))[0, 1] for step in range(20)]
    assert np.median(likeness) > 0.85  # about 0.65 where the pixels do not correspond


@pytest.mark.parametrize("axis", [0, 1])
def test_corresponding_pixels_show_the_same_place(tmp_path: Path, axis: int) -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (256, 256))  # a pixel's grey level is its coordinate
    write(tmp_path / "ramp.png", ramp if axis else np.ascontiguousarray(ramp.T))
    pairs = pairs_of(tmp_path, augment=False, min_texture=0.0)
    for step in range(10):
        there, seen = values_at(*pairs[step])
        assert np.abs(there - seen).max() <= 1.5  # half a pixel of discretisation, and rounding
        assert abs((there - seen).mean()) < 0.2


def test_crops_without_texture_are_drawn_again(tmp_path: Path) -> None:
    write(tmp_path / "sky.png", FLAT)
    write(tmp_path / "wall.png", NOISE)
    crops = lambda pairs: [pairs[step][0][0, 0].numpy() for step in range(15)]  # noqa: E731
    assert all(textured_share(crop) > 0.5 for crop in crops(pairs_of(tmp_path, augment=False)))
    unfiltered = crops(pairs_of(tmp_path, augment=False, min_texture=0.0))
    assert any(textured_share(crop) == 0 for crop in unfiltered)


def test_a_folder_of_flat_photos_still_gives_items(tmp_path: Path) -> None:
    write(tmp_path / "sky.png", FLAT)
    assert pairs_of(tmp_path)[0][0].shape == (2, 1, SIZE, SIZE)


def test_texture_is_judged_cell_by_cell() -> None:
    noise = NOISE[:64, :64, 0]
    assert textured_share(FLAT[:64, :64, 0]) == 0
    assert textured_share(noise) == 1
    assert textured_share(np.hstack([noise, np.zeros_like(noise)])) == 0.5


@pytest.mark.parametrize("shape", [(20, 30), (31, 20), (47, 200)])
def test_photos_smaller_than_a_crop_are_enlarged(tmp_path: Path, shape: tuple[int, int]) -> None:
    write(tmp_path / "small.png", cv2.resize(NOISE, shape[::-1]))
    images, _ = pairs_of(tmp_path, augment=False)[0]
    assert images.shape == (2, 1, SIZE, SIZE)
    assert images[0].float().std() > 5


def test_the_changes_of_a_recipe_are_drawn_independently(tmp_path: Path) -> None:
    write(tmp_path / "flat.png", FLAT)
    pairs = pairs_of(tmp_path, min_texture=0.0)
    crops = [pairs[step][0][0].float() for step in range(60)]
    noisy = [bool(crop.std() > 0) for crop in crops]
    brighter = [abs(crop.mean().item() - 128) > 5 for crop in crops]
    assert set(zip(noisy, brighter, strict=True)) == {(False, False), (False, True), (True, False), (True, True)}


# --- the weights ------------------------------------------------------------------------------------------------------


def black_share(root: Path, **weights: float) -> float:
    pairs = pairs_of(root, augment=False, min_texture=0.0, weights=weights)
    return float(np.mean([pairs[step][0][0].max().item() == 0 for step in range(60)]))


def test_weights_say_how_often_a_folder_is_drawn(tmp_path: Path) -> None:
    write(tmp_path / "dark" / "deep" / "black.png", BLACK)
    write(tmp_path / "wall" / "noise.png", NOISE)
    assert black_share(tmp_path, dark=0.0) == 0
    assert 0.3 < black_share(tmp_path) < 0.7
    assert 0.7 < black_share(tmp_path, dark=9.0) < 1


def test_a_weight_for_a_folder_that_is_not_there_is_refused_with_those_that_are(photos: Path) -> None:
    with pytest.raises(ValueError, match=r"'clothing'.*cat, wall"):
        pairs_of(photos, weights={"clothing": 0.5})


@pytest.mark.parametrize("weights", [{"cat": -1.0}, {"cat": 0.0, "wall": 0.0}])
def test_negative_weights_and_nothing_but_zeros_are_refused(photos: Path, weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        pairs_of(photos, weights=weights)
