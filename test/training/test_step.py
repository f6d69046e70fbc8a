import pytest
import torch
from torch import Tensor

from training.loss import dense_maps, pair_loss, silk_loss
from training.model import SiLK


@pytest.fixture
def model() -> SiLK:
    torch.manual_seed(0)
    return SiLK().train()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Two images of which the second is the first one, moved by (2, 1) pixels, and the correspondences of the maps."""
    image = torch.randint(0, 256, (21, 22), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = torch.stack([image[:20, :20], image[1:, 2:]])[:, None]
    i, j = (index.flatten() for index in torch.meshgrid(torch.arange(13), torch.arange(12), indexing="ij"))
    return images, torch.stack([(i + 1) * 14 + j + 2, i * 14 + j], dim=1)


def test_maps_are_the_networks_on_images_scaled_to_one(model: SiLK, pair: tuple[Tensor, Tensor]) -> None:
    logits, descriptors = dense_maps(model.eval(), pair[0], bf16=False)
    expected_logits, expected_descriptors = model(pair[0].float() / 255)
    assert logits.shape == (2, 1, 14, 14)
    assert descriptors.shape == (2, 32, 14, 14)
    torch.testing.assert_close(logits, expected_logits)
    torch.testing.assert_close(descriptors, expected_descriptors)


def test_bfloat16_is_close_to_float32(model: SiLK, pair: tuple[Tensor, Tensor]) -> None:
    exact, rounded = (pair_loss(model, *pair, queries=0, seed=0, bf16=bf16) for bf16 in (False, True))
    assert dense_maps(model, pair[0], bf16=True)[1].dtype == torch.bfloat16
    assert rounded.total.dtype == torch.float32
    assert rounded.total.item() == pytest.approx(exact.total.item(), rel=0.02)
    rounded.total.backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_a_pairs_loss_is_that_of_its_two_flattened_maps(model: SiLK, pair: tuple[Tensor, Tensor]) -> None:
    images, correspondences = pair
    logits, descriptors = dense_maps(model, images, bf16=False)
    rows = descriptors.permute(0, 2, 3, 1).reshape(2, 14 * 14, 32)
    expected = silk_loss(logits[0].flatten(), logits[1].flatten(), rows[0], rows[1], correspondences)
    actual = pair_loss(model, images, correspondences, queries=0, seed=0, bf16=False)
    for name, value in expected._asdict().items():
        torch.testing.assert_close(getattr(actual, name), value, msg=name)


def test_an_image_moved_by_whole_pixels_matches_itself(model: SiLK, pair: tuple[Tensor, Tensor]) -> None:
    """The correspondences index the maps that the network gives: all round trips come home."""
    loss = pair_loss(model.eval(), *pair, queries=0, seed=0, bf16=False)
    assert loss.match_rate.item() > 0.97


def test_each_step_scores_its_own_random_subset_of_the_correspondences(
    model: SiLK, pair: tuple[Tensor, Tensor]
) -> None:
    def descriptor(queries: int, seed: int) -> float:
        return pair_loss(model.train(), *pair, queries=queries, seed=seed, bf16=False).descriptor.item()

    every, first, other = descriptor(0, 1), descriptor(32, 1), descriptor(32, 2)
    assert descriptor(32, 1) == first
    assert len({every, first, other}) == 3
    assert first == pytest.approx(every, rel=0.3)
    assert descriptor(1000, 1) == every, "more than there are is all of them"
