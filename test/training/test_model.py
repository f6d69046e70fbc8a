import pytest
import torch

from training.model import ARCHITECTURES, SiLK

DESCRIPTORS = {"vggnp-mu": 32}  # and 128 for the others


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(37, 50), (64, 48)])
def test_size_of_the_maps_follows_from_border_and_stride(name: str, shape: tuple[int, int]) -> None:
    with torch.device("meta"):  # shapes alone
        network = SiLK(name).eval()
        logits, descriptors = network(torch.zeros(2, 1, *shape))
    height, width = (len(range(network.border, side - network.border, network.stride)) for side in shape)
    assert logits.shape == (2, 1, height, width)
    assert descriptors.shape == (2, DESCRIPTORS.get(name, 128), height, width)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("positions", [20, 33])
def test_a_crop_of_stride_times_positions_and_two_borders_gives_that_map(name: str, positions: int) -> None:
    with torch.device("meta"):
        network = SiLK(name).eval()
        size = network.stride * positions + 2 * network.border
        logits, _ = network(torch.zeros(1, 1, size, size))
    assert logits.shape[-2:] == (positions, positions)


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


def test_names_of_the_weights_stay_so_that_old_files_load() -> None:
    layers = ["backbone.0.0", "backbone.0.2", "backbone.1.0", "backbone.1.2"]
    layers += [f"{head}.{layer}" for head in ("keypoint_head", "descriptor_head") for layer in ("0.0", "0.2", "1", "2")]
    names = SiLK("vggnp-mu").state_dict()
    assert list(dict.fromkeys(name.rpartition(".")[0] for name in names)) == layers
    assert {name.rpartition(".")[2] for name in names} == {
        *("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"vggnp-9.*vggnp-4.*vggnp-mu.*unet"):
        SiLK("vggnp-9")
