import torch

from training.model import SiLK, parameter_count


def test_size_of_the_network() -> None:
    network = SiLK("unet")
    assert (parameter_count(network), parameter_count(network.backbone)) == (1_402_147, 1_089_568)
    assert (network.border, network.stride) == (1, 1)


def test_coordinates(check_coordinates) -> None:
    torch.manual_seed(0)
    check_coordinates(SiLK("unet"), cell_centre=7.5)
