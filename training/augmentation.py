"""Recipes of photometric augmentation (paper, App. C.1)."""

from __future__ import annotations

import albumentations as A


def _motion_blur(kernel_size: tuple[int, int], p: float) -> A.MotionBlur:
    """Motion blur centred on the pixel: the default is off-centre and would shift the image under its keypoints."""
    return A.MotionBlur(blur_limit=kernel_size, allow_shifted=False, direction_range=(0.0, 0.0), p=p)


def _pose_recipe() -> A.Compose:
    """Recipe of the paper for camera poses (IMC): one strong change at a time."""
    changes = [
        A.RandomGamma(p=1.0),
        A.HueSaturationValue(sat_shift_limit=0, p=1.0),
        A.Blur(blur_limit=(3, 9), p=1.0),
        _motion_blur((3, 25), p=1.0),
        A.RandomBrightnessContrast(brightness_limit=(-0.3, 0.0), contrast_limit=(-0.5, 0.3), p=1.0),
        A.GaussNoise(std_range=(0.01, 0.04), p=1.0),
    ]
    return A.Compose([A.OneOf(changes, p=0.95)])


def _homography_recipe() -> A.Compose:
    """Recipe of the paper for HPatches: several mild changes at once."""
    changes = [
        # Relative to the mean: relative to the maximum, +-128 grey levels, half of the crops would be saturated.
        A.RandomBrightnessContrast(brightness_limit=0.5, contrast_limit=0.0, brightness_by_max=False, p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.0, contrast_limit=0.5, p=0.5),
        A.GaussNoise(std_range=(0.0, 0.04), per_channel=False, p=0.5),
        A.SaltAndPepper(amount=(0.0, 0.0035), p=0.5),  # the paper's speckle; amount is the share of pixels changed
        _motion_blur((3, 3), p=0.5),
    ]
    return A.Compose(changes)


def _video_recipe() -> A.Compose:
    """Recipe for the frames of one camera: a network with a 7x7 receptive field barely learns under stronger noise."""
    gain = A.RandomBrightnessContrast((-0.1, 0.1), contrast_limit=(-0.6, 0.2), ensure_safe_range=True, p=0.5)
    noise = A.GaussNoise(std_range=(0.0, 0.01), per_channel=False, p=0.3)
    return A.Compose([A.RandomGamma(gamma_limit=(50, 200), p=0.5), gain, noise])


RECIPES = {"pose": _pose_recipe, "homography": _homography_recipe, "video": _video_recipe}


def augmentation(recipe: str) -> A.Compose:
    """The named recipe, called as `transform(image=rgb)["image"]` on uint8 (H, W, 3). Raises ValueError."""
    if recipe not in RECIPES:
        raise ValueError(f"unknown augmentation '{recipe}': choose one of {', '.join(RECIPES)}")
    return RECIPES[recipe]()
