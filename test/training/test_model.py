import pytest
import torch

from training.model import ARCHITECTURES, SiLK, parameter_count

PARAMETERS = {"vggnp-4": 942147, "vggnp-3": 868035, "vggnp-2": 757635, "vggnp-1": 461955, "vggnp-mu": 76035}
BORDERS = {"vggnp-4": 9, "vggnp-3": 7, "vggnp-2": 5, "vggnp-1": 3, "vggnp-mu": 3}
DESCRIPTORS = {"vggnp-4": 128, "vggnp-3": 128, "vggnp-2": 128, "vggnp-1": 128, "vggnp-mu": 32}


def test_the_architectures_are_those_of_the_paper() -> None:
    assert set(ARCHITECTURES) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_equal_the_papers_table(name: str) -> None:
    assert parameter_count(SiLK(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", BORDERS)
def test_maps_are_smaller_than_the_image_by_the_border_on_each_side(name: str) -> None:
    model = SiLK(name).eval()
    with torch.inference_mode():
        logits, descriptors = model(torch.rand(2, 1, 24, 31))
    height, width = 24 - 2 * BORDERS[name], 31 - 2 * BORDERS[name]
    assert model.border == BORDERS[name]
    assert logits.shape == (2, 1, height, width)
    assert descriptors.shape == (2, DESCRIPTORS[name], height, width)


@pytest.mark.parametrize("name", ["vggnp-mu", "vggnp-2"])
def test_a_pixel_reaches_exactly_the_positions_within_a_border_of_it(name: str) -> None:
    torch.manual_seed(0)
    model = SiLK(name).eval()
    border, row, column = model.border, 14, 17
    image = torch.rand(1, 1, 32, 40)
    changed = image.clone()
    changed[0, 0, row, column] += 0.5
    with torch.inference_mode():
        difference = (model(image)[1] - model(changed)[1]).abs().amax(dim=(0, 1))
    rows, columns = torch.nonzero(difference, as_tuple=True)
    assert (rows.min() + border, rows.max() + border) == (row - border, row + border)
    assert (columns.min() + border, columns.max() + border) == (column - border, column + border)


def test_descriptors_follow_a_shifted_image() -> None:
    model = SiLK().eval()
    image = torch.rand(1, 1, 30, 30)
    with torch.inference_mode():
        logits, descriptors = model(image)
        shifted_logits, shifted_descriptors = model(image[:, :, 2:, 5:])
    torch.testing.assert_close(shifted_logits, logits[:, :, 2:, 5:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shifted_descriptors, descriptors[:, :, 2:, 5:], atol=1e-5, rtol=1e-5)


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"vggnp-9.*vggnp-4.*vggnp-mu"):
        SiLK("vggnp-9")
