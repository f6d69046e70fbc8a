"""Export a trained network to the ONNX file that the node loads.

    python -m training.export runs/mu/best.safetensors models/silk_vggnp_mu.onnx

PyTorch exports the dense part. SELECTION computes descriptors at the selected keypoints only: it gathers the 3x3
neighbourhoods that the descriptor head reads, and the head becomes two matrix products.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx.parser
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

from silk_ros.backends.model import FEW_STEPS, few_steps
from silk_ros.command_line import command_parser
from silk_ros.paths import write_atomically

from .checkpoint import load_checkpoint
from .fold import fold_batch_norms
from .model import SiLK
from .options import how_to_use, readable_errors

log = logging.getLogger(__name__)

OPSET, IR_VERSION = 18, 9  # the newest that ONNX Runtime 1.17 reads
DEFAULT_KEYPOINTS = 1000  # value in the file until a runtime replaces the initializer

# ONNX's text format. Inputs of the graph: the logits (1, 1, h, w) and the features (1, C, h + 2, w + 2).
SELECTION = """
select (float[1, 1, h, w] logits, float[1, c, H, W] features)
    => (float[1, K, 2] keypoints, float[1, K] scores, float[1, K, D] descriptors)
    <int64[1] shape_flat = {-1}, int64[1] shape_first = {0}, int64[1] shape_last = {1},
     int64[9] neighbour_row = {0, 0, 0, 1, 1, 1, 2, 2, 2}, int64[9] neighbour_column = {0, 1, 2, 0, 1, 2, 0, 1, 2},
     float[1] least_length = {1e-12}>
{
    # TopK over the logits, not the scores: the sigmoid rounds the highest ones to equal values.
    flat_logits = Reshape(logits, shape_flat)
    position_count = Shape(flat_logits)
    keypoint_count = Min(max_keypoints, position_count)
    best_logits, position = TopK <axis = 0, largest = 1, sorted = 1> (flat_logits, keypoint_count)
    unsorted_scores = Sigmoid(best_logits)
    # Sorted again: vectorised sigmoids of some processors round neighbours into the wrong order.
    flat_scores, score_order = TopK <axis = 0, largest = 1, sorted = 1> (unsorted_scores, keypoint_count)
    scores = Unsqueeze(flat_scores, shape_first)

    # Keypoints in pixels.
    map_width = Shape <end = 4, start = 3> (logits)
    y = Div(position, map_width)
    row_start = Mul(y, map_width)
    x = Sub(position, row_start)
    x_column = Unsqueeze(x, shape_last)
    y_column = Unsqueeze(y, shape_last)
    map_keypoints = Concat <axis = 1> (x_column, y_column)
    float_keypoints = Cast <to = 1> (map_keypoints)
    strided_keypoints = Mul(float_keypoints, stride)
    pixel_keypoints = Add(strided_keypoints, border)
    keypoints = Unsqueeze(pixel_keypoints, shape_first)

    # Flat indices of the nine neighbours of each keypoint in the feature map, keypoint by keypoint.
    feature_width = Shape <end = 4, start = 3> (features)
    neighbour_start = Mul(neighbour_row, feature_width)
    neighbour = Add(neighbour_start, neighbour_column)
    centre_start = Mul(y_column, feature_width)
    corner = Add(centre_start, x_column)
    neighbours = Add(corner, neighbour)
    flat_neighbours = Reshape(neighbours, shape_flat)

    # Channels last, the memory layout of the convolutions' output: each gathered row is contiguous.
    features_last = Transpose <perm = [0, 2, 3, 1]> (features)
    flat_features = Reshape(features_last, feature_columns)
    gathered = Gather <axis = 0> (flat_features, flat_neighbours)
    patches = Reshape(gathered, patch_columns)
    hidden_product = MatMul(patches, describe__weight)
    hidden_sum = Add(hidden_product, describe__bias)
    hidden_relu = Relu(hidden_sum)
    projected_product = MatMul(hidden_relu, project__weight)
    projected = Add(projected_product, project__bias)
    # Not LpNormalization: it is ten times slower in OpenVINO.
    length = ReduceL2 <keepdims = 1> (projected, shape_last)
    positive_length = Max(length, least_length)
    flat_descriptors = Div(projected, positive_length)
    descriptors = Unsqueeze(flat_descriptors, shape_first)
}
"""


class _DensePart(nn.Module):
    """uint8 image (1, 1, H, W) -> keypoint logits (1, 1, h, w) and the padded features (1, C, h + 2, w + 2)."""

    def __init__(self, model: SiLK) -> None:
        super().__init__()
        self.backbone, self.keypoint_head = model.backbone, model.keypoint_head
        self.padding = model.architecture.head_padding

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(image.float() / 255)
        return self.keypoint_head(features), F.pad(features, [self.padding] * 4) if self.padding else features


def _export_dense(model: SiLK) -> onnx.GraphProto:
    """ONNX graph of the dense part, for any image size from 32 pixels a side."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _DensePart(model).eval(),
            (torch.zeros(1, 1, 96, 128, dtype=torch.uint8),),
            input_names=["image"],
            output_names=["logits", "features"],
            dynamic_shapes={"image": {2: torch.export.Dim("H", min=32), 3: torch.export.Dim("W", min=32)}},
            opset_version=OPSET,
            dynamo=True,
        )
    assert program is not None
    return program.model_proto.graph


def selection_graph(model: SiLK, max_keypoints: int) -> onnx.GraphProto:
    """Graph for a network without BatchNorms in its descriptor head; nodes are named select/OUTPUT."""
    graph = onnx.parser.parse_graph(SELECTION.replace("D]", f"{model.architecture.descriptor_dim}]"))
    for node in graph.node:
        node.name = f"select/{node.output[0]}"
        node.input[:] = [name.replace("__", ".") for name in node.input]  # names in the text format have no dots
    convolutions = [layer for layer in model.descriptor_head.modules() if isinstance(layer, nn.Conv2d)]
    describe, project = (layer.state_dict() for layer in convolutions)  # 3x3 and 1x1
    channels = describe["weight"].shape[1]
    constants = {
        "max_keypoints": torch.tensor([max_keypoints]),
        "feature_columns": torch.tensor([-1, channels]),
        "patch_columns": torch.tensor([-1, 9 * channels]),
        "stride": torch.tensor([float(model.stride)]),
        "border": torch.tensor([float(model.border)]),
        "describe.weight": describe["weight"].permute(2, 3, 1, 0).flatten(0, 2),
        "describe.bias": describe["bias"],
        "project.weight": project["weight"].flatten(1).T,
        "project.bias": project["bias"],
    }
    graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in constants.items())
    return graph


def export_model(
    model: SiLK, output: str | Path, metadata: Mapping[str, object], max_keypoints: int = DEFAULT_KEYPOINTS
) -> onnx.ModelProto:
    """Write the checked ONNX file of a network and return it.

    Input `image` uint8 (1, 1, H, W); outputs float32 `keypoints` (1, K, 2) in pixels (x, y), `scores` (1, K) and
    `descriptors` (1, K, D) of unit length, by falling score. K is at most the initializer `max_keypoints`.
    """
    folded = fold_batch_norms(model)
    dense, selection = _export_dense(folded), selection_graph(folded, max_keypoints)
    nodes, constants = [*dense.node, *selection.node], [*dense.initializer, *selection.initializer]
    graph = helper.make_graph(nodes, f"SiLK {model.name}", dense.input, selection.output, constants)
    for node in graph.node:
        del node.metadata_props[:]  # PyTorch's stack traces hold paths of this machine
        node.doc_string = ""
    proto = helper.make_model(
        graph, producer_name="silk_ros", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    own = {"architecture": model.name, "border": model.border, "stride": model.stride}
    own |= {"descriptor_dim": model.architecture.descriptor_dim, **metadata}
    helper.set_model_props(proto, {name: str(value) for name, value in own.items()})
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(Path(output), proto.SerializeToString())
    return proto


def export(checkpoint: str | Path, output: str | Path, max_keypoints: int = DEFAULT_KEYPOINTS) -> onnx.ModelProto:
    """Write the ONNX file of a checkpoint, with the provenance of the training in its metadata."""
    training = load_checkpoint(checkpoint)
    metadata = {
        f"training_{name}": value for name, value in {**training.provenance, "steps": training.total_steps}.items()
    }
    return export_model(training.network(), output, metadata, max_keypoints)


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("checkpoint", type=Path, help="best.safetensors or last.safetensors of a training")
    parser.add_argument("output", type=Path, help="ONNX file to write")
    keypoints = "keypoints until a runtime changes it (%(default)s)"
    parser.add_argument("--max-keypoints", type=int, default=DEFAULT_KEYPOINTS, help=keypoints)
    options = parser.parse_args(arguments)
    proto = export(options.checkpoint, options.output, options.max_keypoints)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if note := few_steps(metadata):
        log.warning("the network was %s: below %d it finds few right matches (docs/training.md)", note, FEW_STEPS)
    print(f"wrote {options.output}: " + ", ".join(f"{name}={value}" for name, value in metadata.items()))
    print(f"next: {how_to_use(options.output)}")


if __name__ == "__main__":
    sys.exit(main())
