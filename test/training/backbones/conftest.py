"""The check that every backbone must pass: map positions lie at the pixels that its border and stride say."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch
from torch import nn

from training.export import export_model
from training.model import SiLK

CheckCoordinates = Callable[..., None]
PERIOD = 16  # pixels; every backbone does the same to an image shifted by this
MARGIN = 48  # pixels; what is nearer to the edge sees the padding


def blurring(network: SiLK) -> SiLK:
    """A copy that answers most where the image is brightest: all its convolutions blur."""
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                size = layer.kernel_size[0]
                kernel = torch.tensor([math.comb(size - 1, i) / 2 ** (size - 1) for i in range(size)])
                layer.weight.copy_(torch.outer(kernel, kernel) / (layer.in_channels // layer.groups))
                if layer.bias is not None:
                    layer.bias.zero_()
    return network


def run_exported(network: SiLK, image: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every keypoint (N, 2) and its score (N,) that the network's ONNX file finds in an image, best first."""
    export_model(network, folder / "silk.onnx", {}, max_keypoints=image.size)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "silk.onnx", options, providers=["CPUExecutionProvider"])
    keypoints, scores = session.run(["keypoints", "scores"], {"image": image[None, None]})
    return keypoints[0], scores[0]


def logits_by_pixel(network: SiLK, image: np.ndarray) -> np.ndarray:
    """Keypoint logits (H, W) at the pixels where map positions lie, NaN elsewhere."""
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(image)[None, None].float() / 255)
    pixels = np.full(image.shape, np.nan, np.float32)
    rows, columns = (slice(network.border, side - network.border, network.stride) for side in image.shape)
    pixels[rows, columns] = logits[0, 0].numpy()
    return pixels


def check_bright_spot(network: SiLK, cell_centre: float, folder: Path) -> None:
    """A bright pixel, or square of four, is what is found best, and what is found around it is symmetric."""
    height, width = 97, 130  # multiples of nothing
    rows, columns = (
        slice(start + math.floor(cell_centre), start + math.ceil(cell_centre) + 1) for start in (2 * PERIOD, 5 * PERIOD)
    )
    image = np.zeros((height, width), np.uint8)
    image[rows, columns] = 255
    spot = {(x, y) for y, x in np.argwhere(image).tolist()}

    keypoints, scores = run_exported(blurring(network), image, folder)
    positions = {
        (x, y)
        for x in range(network.border, width - network.border, network.stride)
        for y in range(network.border, height - network.border, network.stride)
    }
    assert len(keypoints) == len(positions)
    assert {*map(tuple, keypoints.tolist())} == positions
    assert {*map(tuple, keypoints[: len(spot)].tolist())} == spot

    found = np.full(image.shape, np.nan, np.float32)
    columns_found, rows_found = keypoints.astype(int).T
    found[rows_found, columns_found] = scores
    around = found[rows.start - 8 : rows.stop + 8, columns.start - 8 : columns.stop + 8]
    tolerance = 0.01 * np.nanmax(around - np.nanmin(around))
    np.testing.assert_allclose(around[::-1], around, rtol=0, atol=tolerance)
    np.testing.assert_allclose(around[:, ::-1], around, rtol=0, atol=tolerance)


def check_shift(network: SiLK) -> None:
    network = copy.deepcopy(network).eval()
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.InstanceNorm2d):  # depends on the whole image, and that does change
            network.set_submodule(name, nn.Identity())
    dx, dy = 2 * PERIOD, PERIOD
    photo = skimage.data.camera()
    here, there = logits_by_pixel(network, photo[100:244, 100:276]), logits_by_pixel(network, photo[116:260, 132:308])
    inside = slice(MARGIN, -MARGIN)
    actual, expected = there[:-dy, :-dx][inside, inside], here[dy:, dx:][inside, inside]
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=0.02 * np.nanstd(here))


@pytest.fixture
def check_coordinates(tmp_path: Path) -> CheckCoordinates:
    """A function that asserts where a network's keypoints lie, in its ONNX file and in a shifted image.

    cell_centre: the pixel, counted from a multiple of 16, about which what the network does is symmetric. Not needed
    where that is any map position; 7.5 for four averages of 2x2 pixels.
    """

    def check(network: SiLK, cell_centre: float | None = None) -> None:
        centre = network.border % network.stride if cell_centre is None else cell_centre
        check_bright_spot(network, centre, tmp_path)
        check_shift(network)

    return check
