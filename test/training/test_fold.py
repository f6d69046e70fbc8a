import pytest
import torch
from torch import nn

from training.fold import fold_batch_norms
from training.model import ARCHITECTURES, SiLK


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> SiLK:
    """A network whose BatchNorms have seen something."""
    torch.manual_seed(0)
    model = SiLK(request.param).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.uniform_(layer.bias, -1, 1)
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model


def test_folded_network_computes_the_same_without_batch_norms(model: SiLK) -> None:
    image = torch.rand(1, 1, 40, 44)
    folded = fold_batch_norms(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    with torch.no_grad():
        for expected, actual in zip(model(image), folded(image)):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_original_network_is_left_alone(model: SiLK) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batch_norms(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
