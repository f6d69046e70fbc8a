from collections.abc import Callable

import pytest
import torch
from torch import nn

from training.fold import fold_batch_norms
from training.model import ARCHITECTURES, SiLK


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, random_network: Callable[[str], SiLK]) -> SiLK:
    return random_network(request.param)


def test_folded_network_computes_the_same_with_fewer_batch_norms(model: SiLK) -> None:
    image = torch.rand(1, 1, 40, 44)
    folded = fold_batch_norms(model)
    left = [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    # One of each padding block: what the padding adds does not pass through them. The heads fold by themselves.
    assert len(left) == (8 if model.name == "vggp-4" else 0)
    with torch.no_grad():
        for expected, actual in zip(model(image), folded(image)):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_original_network_is_left_alone(model: SiLK) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batch_norms(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_channels_that_died_in_training_are_left_out() -> None:
    torch.manual_seed(0)
    model = SiLK().eval()
    convolution, _, norm = model.backbone[0]
    dead = torch.tensor([3, 40, 63])
    with torch.no_grad():
        convolution.bias[dead] = -100.0  # the ReLU never lets anything through
        norm.running_mean[dead], norm.running_var[dead] = 1e-26, 1e-29
        norm.bias[dead] = 0.5  # what the channel still adds everywhere
    folded = fold_batch_norms(model)
    writer, reader = folded.backbone[0][0], folded.backbone[1][0]
    assert (writer.out_channels, writer.weight.shape[0], writer.bias.shape[0]) == (61, 61, 61)
    assert (reader.in_channels, reader.weight.shape[1]) == (61, 61)
    image = torch.rand(1, 1, 20, 24)
    with torch.no_grad():
        for expected, actual in zip(model(image), folded(image)):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
