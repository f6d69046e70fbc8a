import torch

from training.backbones.resnet_fpn import doubled
from training.model import SiLK, parameter_count


def test_size_of_the_network() -> None:
    network = SiLK("resfpn")
    assert (parameter_count(network), parameter_count(network.backbone)) == (6_228_467, 5_915_888)
    assert (network.border, network.stride) == (2, 2)


def test_coordinates(check_coordinates) -> None:
    torch.manual_seed(0)
    check_coordinates(SiLK("resfpn"))


def test_a_doubled_map_has_the_coarse_positions_and_the_middles() -> None:
    coarse = torch.tensor([[0.0, 4.0, 2.0], [8.0, 0.0, 2.0]])[None, None]
    expected = [[0.0, 2.0, 4.0, 3.0, 2.0], [4.0, 3.0, 2.0, 2.0, 2.0], [8.0, 4.0, 0.0, 1.0, 2.0]]
    torch.testing.assert_close(doubled(coarse)[0, 0], torch.tensor(expected))
