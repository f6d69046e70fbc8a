import random

import numpy as np
import pytest
import skimage.data

from training.augmentation import RECIPES, augmentation


@pytest.fixture
def photo() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[40:104, 200:272])


def outcomes(recipe: str, photo: np.ndarray, seed: int = 0, count: int = 30) -> list[np.ndarray]:
    augment = augmentation(recipe)
    augment.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return [augment(image=photo)["image"] for _ in range(count)]


def test_the_recipes_are_the_papers_two_and_one_for_video() -> None:
    assert set(RECIPES) == {"pose", "homography", "video"}


def test_the_video_recipe_changes_exposure_but_hardly_adds_noise() -> None:
    flat = np.full((64, 64, 3), 120, np.uint8)

    def noise(recipe: str) -> float:
        return float(np.mean([image.std() for image in outcomes(recipe, flat)]))

    assert noise("video") < 0.5 * noise("homography")
    means = [image.mean() for image in outcomes("video", flat)]
    assert min(means) < 100 and max(means) > 135


@pytest.mark.parametrize("recipe", RECIPES)
def test_shape_and_type_stay(recipe: str, photo: np.ndarray) -> None:
    for image in outcomes(recipe, photo):
        assert image.shape == photo.shape
        assert image.dtype == np.uint8


@pytest.mark.parametrize("recipe", RECIPES)
def test_images_change_each_time_in_another_way_and_stay_recognisable(recipe: str, photo: np.ndarray) -> None:
    original = photo.copy()
    images = outcomes(recipe, photo)
    assert np.array_equal(photo, original), "the input must not be written to"
    assert np.mean([np.array_equal(image, photo) for image in images]) < 0.4
    assert len({image.tobytes() for image in images}) > 10
    likeness = [np.corrcoef(image.ravel(), photo.ravel())[0, 1] for image in images]
    assert np.median(likeness) > 0.9


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_gives_the_same_images(recipe: str, photo: np.ndarray) -> None:
    assert np.array_equal(outcomes(recipe, photo), outcomes(recipe, photo))
    assert not np.array_equal(outcomes(recipe, photo, seed=1), outcomes(recipe, photo, seed=2))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'sepia'.*pose, homography"):
        augmentation("sepia")
