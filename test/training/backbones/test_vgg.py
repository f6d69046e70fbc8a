import pytest
import torch

from training.backbones.vgg import VGG
from training.model import SiLK, parameter_count

PARAMETERS = {
    "vggnp-4": 942147,
    "vggnp-3": 868035,
    "vggnp-2": 757635,
    "vggnp-1": 461955,
    "vggnp-mu": 76035,
    "vggp-4": 942147,
}
BORDERS = {"vggnp-4": 9, "vggnp-3": 7, "vggnp-2": 5, "vggnp-1": 3, "vggnp-mu": 3, "vggp-4": 0}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_equal_the_papers_table(name: str) -> None:
    assert parameter_count(SiLK(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", BORDERS)
def test_an_unpadded_block_costs_a_pixel_on_each_side(name: str) -> None:
    assert (SiLK(name).border, SiLK(name).stride) == (BORDERS[name], 1)


@pytest.mark.parametrize("name", ["vggnp-mu", "vggp-4"])
def test_coordinates(name: str, check_coordinates) -> None:
    torch.manual_seed(0)
    check_coordinates(SiLK(name))


def test_padding_changes_nothing_but_the_edges() -> None:
    padded, plain = VGG((8, 16), padding=1).eval(), VGG((8, 16)).eval()
    plain.load_state_dict(padded.state_dict())
    image = torch.rand(1, 1, 20, 25)
    with torch.inference_mode():
        torch.testing.assert_close(padded(image)[..., 4:-4, 4:-4], plain(image))
        assert not torch.allclose(padded(image)[..., 3, 4:-4], padded(image[..., 1:, :])[..., 2, 4:-4])
