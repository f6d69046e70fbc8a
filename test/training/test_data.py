from collections.abc import Iterable
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from silk_ros.geometry.homography import warp_points
from training.augmentation import RECIPES
from training.config import TrainConfig
from training.data import HomographyPairs, textured_share
from training.homography import dense_correspondences
from training.photos import Photos

MAP, BORDER = 42, 3
SIZE = MAP + 2 * BORDER

FLAT = np.full((100, 100, 3), 128, dtype=np.uint8)
NOISE = np.random.default_rng(0).integers(60, 256, (100, 100, 3), dtype=np.uint8)
RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8), (256, 256))  # a pixel's grey level is its column


def photos_of(*images: np.ndarray) -> Photos:
    grays = [image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images]
    return Photos.from_frames([np.ascontiguousarray(gray) for gray in grays], "photo")


def pairs_of(
    photos: Photos,
    config: TrainConfig,
    augment: bool = True,
    *,
    border: int = BORDER,
    stride: int = 1,
    map_size: int = MAP,
    seed: int = 0,
    **settings: object,
) -> HomographyPairs:
    pairs = HomographyPairs(photos, config.changed(**settings), border, stride, 60, map_size, seed)
    if not augment:
        pairs.augment = A.Compose([])
    return pairs


def items(pairs: HomographyPairs, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [pairs[step] for step in range(count)]


def equal(a: Iterable[Tensor], b: Iterable[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def own(photos: Path) -> Photos:
    return Photos.from_sources({str(photos): 1})


# --- the items --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("border", "stride"), [(3, 1), (9, 1), (4, 2), (0, 8)])
def test_an_item_is_two_gray_crops_their_correspondences_and_homography(
    own: Photos, config: TrainConfig, recipe: str, border: int, stride: int
) -> None:
    pairs = pairs_of(own, config, augmentation=recipe, border=border, stride=stride, map_size=12)
    assert len(pairs) == 60
    for images, correspondences, homography in items(pairs, 4):
        assert images.shape == (2, 1, 12 * stride + 2 * border, 12 * stride + 2 * border)
        assert images.dtype == torch.uint8
        assert correspondences.dtype == torch.int64
        assert homography.dtype == torch.float64
        expected = dense_correspondences(homography.numpy(), 12, border, stride)
        assert np.array_equal(correspondences.numpy(), expected)
        assert len(expected) > 1


def test_an_item_depends_on_the_seed_and_the_step_alone(own: Photos, config: TrainConfig) -> None:
    first, second = items(pairs_of(own, config), 6), pairs_of(own, config)
    backward = [second[step] for step in reversed(range(6))][::-1]
    other = items(pairs_of(own, config, seed=1), 6)
    assert all(map(equal, first, backward))
    assert not any(map(equal, first, other))
    assert not any(equal(first[0], item) for item in first[1:])


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_make_the_same_items(own: Photos, config: TrainConfig, workers: int) -> None:
    pairs = pairs_of(own, config)
    pairs.steps = 5
    loaded = list(DataLoader(pairs, batch_size=None, num_workers=workers))
    assert all(map(equal, loaded, items(pairs, 5)))


def test_photos_are_drawn_by_their_weights(config: TrainConfig) -> None:
    photos = photos_of(np.zeros_like(FLAT), NOISE)
    photos.probability[:] = [0.8, 0.2]
    pairs = pairs_of(photos, config, augment=False, map_size=16, min_texture=0)
    dark = np.mean([images[0].max().item() == 0 for images, _, _ in items(pairs, 60)])
    assert 0.65 < dark < 0.95


# --- correspondences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("border", "stride"), [(3, 1), (9, 1), (3, 2), (0, 8)])
def test_correspondences_agree_with_the_homography_up_to_discretisation(
    own: Photos, config: TrainConfig, border: int, stride: int
) -> None:
    size, farthest = 14, 0.0
    for _, correspondences, homography in items(pairs_of(own, config, border=border, stride=stride, map_size=size), 8):
        pixels0, pixels1 = (
            np.stack([flat % size, flat // size], axis=1) * float(stride) + border for flat in correspondences.numpy().T
        )
        there = np.abs(warp_points(homography.numpy(), pixels0) - pixels1).max(axis=1)
        back = np.abs(warp_points(np.linalg.inv(homography.numpy()), pixels1) - pixels0).max(axis=1)
        assert max(there.max(), back.max()) <= stride / 2 + 1e-6
        farthest = max(farthest, there.max())
    assert farthest > 0.4 * stride, "the bound must be one that is reached"


def values_at(item: tuple[Tensor, Tensor, Tensor], stride: int = 1) -> np.ndarray:
    """Grey levels (2, M) of both images at the pixels that correspond."""
    images, correspondences, _ = item
    maps = images[:, 0, BORDER : -BORDER or None : stride, BORDER : -BORDER or None : stride].flatten(1)
    return torch.stack([maps[0, correspondences[:, 0]], maps[1, correspondences[:, 1]]]).double().numpy()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_corresponding_pixels_show_the_same_place(config: TrainConfig, axis: int, stride: int) -> None:
    photos = photos_of(RAMP if axis else RAMP.T)
    pairs = pairs_of(photos, config, augment=False, stride=stride, map_size=MAP // stride, min_texture=0, zoom=1)
    for item in items(pairs, 8):
        there, seen = values_at(item, stride)
        assert np.abs(there - seen).max() <= stride / 2 + 1  # discretisation, and rounding
        assert abs((there - seen).mean()) < 0.2 * stride


@pytest.mark.parametrize("recipe", RECIPES)
def test_augmented_images_are_alike_at_their_correspondences(config: TrainConfig, recipe: str) -> None:
    smooth = cv2.normalize(cv2.GaussianBlur(skimage.data.coins(), None, 4), None, 80, 220, cv2.NORM_MINMAX)
    pairs = pairs_of(photos_of(smooth), config, augmentation=recipe, min_texture=0.1)
    likeness = [np.corrcoef(values_at(item))[0, 1] for item in items(pairs, 20)]
    assert np.median(likeness) > 0.85  # about 0.65 where the pixels do not correspond


def test_the_changes_of_a_recipe_are_drawn_independently(config: TrainConfig) -> None:
    pairs = pairs_of(photos_of(FLAT), config, augmentation="homography", min_texture=0)
    crops = [images[0].float() for images, _, _ in items(pairs, 60)]
    noisy = [bool(crop.std() > 0) for crop in crops]
    brighter = [abs(crop.mean().item() - 128) > 5 for crop in crops]
    assert set(zip(noisy, brighter, strict=True)) == {(False, False), (False, True), (True, False), (True, True)}


# --- crops ------------------------------------------------------------------------------------------------------------


def slopes(photos: Photos, config: TrainConfig, zoom: float, count: int) -> list[float]:
    """How many columns of a ramp lie between neighbouring pixels of the crops."""
    pairs = pairs_of(photos, config, augment=False, min_texture=0, zoom=zoom)
    crops = [images[0, 0].double().mean(dim=0) for images, _, _ in items(pairs, count)]
    return [(crop[-5] - crop[4]).item() / (SIZE - 9) for crop in crops]


def test_zoom_shrinks_photos_down_to_a_share(config: TrainConfig) -> None:
    found = slopes(photos_of(RAMP), config, zoom=0.5, count=40)
    assert 0.98 < min(found) < 1.3
    assert 1.7 < max(found) < 2.03
    assert all(slope == pytest.approx(1, abs=0.01) for slope in slopes(photos_of(RAMP), config, zoom=1, count=5))


def test_zoom_goes_no_farther_than_a_photo_is_large(config: TrainConfig) -> None:
    found = slopes(photos_of(RAMP[: SIZE + 5]), config, zoom=0.2, count=20)
    assert max(found) <= (SIZE + 5) / SIZE + 0.03  # grey levels are rounded


@pytest.mark.parametrize("shape", [(20, 30), (31, 20), (47, 200)])
def test_photos_smaller_than_a_crop_are_enlarged(config: TrainConfig, shape: tuple[int, int]) -> None:
    images, correspondences, _ = pairs_of(photos_of(cv2.resize(NOISE, shape[::-1])), config, augment=False)[0]
    assert images.shape == (2, 1, SIZE, SIZE)
    assert images[0].float().std() > 5
    assert len(correspondences) > MAP


def test_crops_without_texture_are_drawn_again(config: TrainConfig) -> None:
    def textured(min_texture: float) -> list[float]:
        pairs = pairs_of(photos_of(FLAT, NOISE), config, augment=False, min_texture=min_texture)
        return [textured_share(images[0, 0].numpy()) for images, _, _ in items(pairs, 15)]

    assert min(textured(0.5)) > 0.5
    assert min(textured(0.0)) == 0


def test_where_nothing_has_texture_the_best_is_taken(config: TrainConfig) -> None:
    corner = FLAT.copy()
    corner[:30, :30] = NOISE[:30, :30]
    crops = [images[0, 0] for images, _, _ in items(pairs_of(photos_of(FLAT, corner), config, augment=False), 5)]
    assert all(textured_share(crop.numpy()) > 0.05 for crop in crops)
    assert pairs_of(photos_of(FLAT), config)[0][0].shape == (2, 1, SIZE, SIZE)


def test_texture_is_judged_cell_by_cell() -> None:
    noise = NOISE[:64, :64, 0]
    assert textured_share(FLAT[:64, :64, 0]) == 0
    assert textured_share(noise) == 1
    assert textured_share(np.hstack([noise, np.zeros_like(noise)])) == 0.5
