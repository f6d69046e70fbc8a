from collections.abc import Callable
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training import validation as module
from training.augmentation import RECIPES
from training.config import TrainConfig
from training.model import SiLK
from training.photos import Photos
from training.validation import Validation, features

SHARES = {"match_rate", "precision", "recall", "f1", "homography_accuracy"}


@pytest.fixture(autouse=True)
def small_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VIEW_SIZE", 40)


@pytest.fixture
def held_out(photos: Path) -> Photos:
    return Photos.from_sources({str(photos): 1})


@pytest.fixture
def model() -> SiLK:
    torch.manual_seed(0)
    return SiLK().train()


@pytest.fixture
def unchanged(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A recipe whose second view is the first one."""
    monkeypatch.setitem(RECIPES, "none", lambda: A.Compose([]))
    return config.changed(augmentation="none", scale=(1, 1), tilt=0, roll=0, min_texture=0)


def with_logits(model: SiLK, logit: float) -> SiLK:
    """The network with the same logit everywhere."""
    nn.init.zeros_(model.keypoint_head[-1].weight)
    nn.init.constant_(model.keypoint_head[-1].bias, logit)
    return model


# --- scores -----------------------------------------------------------------------------------------------------------


def test_the_scores_of_a_random_network_are_shares(held_out: Photos, config: TrainConfig, model: SiLK) -> None:
    scores = Validation(held_out, config, model)(model)
    assert scores.keys() == {"loss"} | SHARES
    assert scores["loss"] > 0 and all(0 <= scores[name] <= 1 for name in SHARES)
    assert 0 < scores["match_rate"] < 1


def test_scores_are_perfect_where_nothing_changes(held_out: Photos, unchanged: TrainConfig, model: SiLK) -> None:
    model = with_logits(model, 5.0)
    scores = Validation(held_out, unchanged, model)(model)
    assert {name: scores[name] for name in SHARES} == pytest.approx(dict.fromkeys(SHARES, 1.0), abs=0.01)


def test_a_network_that_finds_no_keypoints_has_an_f1_of_zero(
    held_out: Photos, unchanged: TrainConfig, model: SiLK
) -> None:
    model = with_logits(model, -5.0)
    scores = Validation(held_out, unchanged, model)(model)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0, 0, 0)
    assert scores["match_rate"] > 0.99


def test_f1_is_the_harmonic_mean(
    held_out: Photos, config: TrainConfig, model: SiLK, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.pair_loss
    precision, recall = torch.tensor(0.9), torch.tensor(0.3)
    monkeypatch.setattr(
        module, "pair_loss", lambda *arguments: original(*arguments)._replace(precision=precision, recall=recall)
    )
    assert Validation(held_out, config, model)(model)["f1"] == pytest.approx(0.45)


@pytest.mark.parametrize(("errors", "accuracy"), [([0.1, 2.9, 3.1, np.inf], 0.5), ([np.inf] * 4, 0.0)])
def test_homography_accuracy_is_the_share_of_views_within_three_pixels(
    held_out: Photos,
    config: TrainConfig,
    model: SiLK,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[float],
    accuracy: float,
) -> None:
    remaining = iter(errors)
    monkeypatch.setattr(module, "corner_error", lambda *_: next(remaining))
    assert Validation(held_out, config, model)(model)["homography_accuracy"] == accuracy


def test_the_same_network_always_has_the_same_scores(held_out: Photos, config: TrainConfig, model: SiLK) -> None:
    first = Validation(held_out, config, model)
    assert first(model) == first(model) == Validation(held_out, config, model)(model)
    assert first(model) != Validation(held_out, config.changed(seed=1), model)(model), "other pairs"


# --- side effects -----------------------------------------------------------------------------------------------------


def scores_of(validation: Validation, model: SiLK) -> None:
    validation(model)


def pictures_of(validation: Validation, model: SiLK) -> None:
    validation.pictures(model, 1)


@pytest.mark.parametrize("use", [scores_of, pictures_of])
@pytest.mark.parametrize("training", [True, False])
def test_validation_leaves_no_trace(
    held_out: Photos, config: TrainConfig, model: SiLK, use: Callable[[Validation, SiLK], None], training: bool
) -> None:
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.random.get_rng_state()
    use(Validation(held_out, config, model), model)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert model.training is training
    assert all(layer.training is training for layer in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_failed_validation_leaves_the_model_in_train_mode(
    held_out: Photos, config: TrainConfig, model: SiLK, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = Validation(held_out, config, model)
    monkeypatch.setattr(module, "KEYPOINTS", "many")
    with pytest.raises(TypeError):
        validation(model)
    assert model.training


# --- keypoints and pictures -------------------------------------------------------------------------------------------


class PeakedNetwork(nn.Module):
    """Stands for a network of stride 2 and border 3 that sees one keypoint, at row 4 and column 7 of its map."""

    border, stride = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.full((len(images), 1, 10, 12), -3.0)
        logits[:, :, 4, 7] = 3.0
        return logits, torch.arange(2.0 * 120).reshape(1, 2, 10, 12).repeat(len(images), 1, 1, 1)


def test_keypoints_are_where_the_map_says_best_first() -> None:
    a, b = features(PeakedNetwork(), torch.zeros(2, 1, 26, 30, dtype=torch.uint8), bf16=False)
    assert len(a) == len(b) == 120
    assert a.keypoints[0].tolist() == [7 * 2 + 3, 4 * 2 + 3]
    assert a.scores[0] == pytest.approx(1 / (1 + np.exp(-3)))
    assert (np.diff(a.scores) <= 0).all()
    descriptor = np.array([4 * 12 + 7, 120 + 4 * 12 + 7])
    np.testing.assert_allclose(a.descriptors[0], descriptor / np.linalg.norm(descriptor), rtol=1e-5)


def test_pictures_show_the_second_view_and_the_matches_in_colour(
    held_out: Photos, config: TrainConfig, model: SiLK
) -> None:
    pictures = Validation(held_out, config, model).pictures(model, 2)
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.shape == (46, 46, 3)
        assert picture.dtype == np.uint8
        assert picture.flags["C_CONTIGUOUS"]
        assert (picture.max(axis=2) != picture.min(axis=2)).any()


def test_pictures_are_rgb(held_out: Photos, config: TrainConfig, model: SiLK, monkeypatch: pytest.MonkeyPatch) -> None:
    blue = np.full((5, 5, 3), (255, 0, 0), np.uint8)  # as OpenCV orders channels
    monkeypatch.setattr(module, "draw_matches", lambda *_: blue)
    (picture,) = Validation(held_out, config, model).pictures(model, 1)
    assert picture[0, 0].tolist() == [0, 0, 255]
