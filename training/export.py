"""Export a trained network to the ONNX file that the node loads.

    python -m training.export runs/mu/best.safetensors models/silk_vggnp_mu.onnx

The file goes from a uint8 image to the best keypoints, their scores and their descriptors. PyTorch exports the dense
part; the selection is written here, because descriptors are computed at the chosen keypoints only: the 3x3
neighbourhoods that the descriptor head sees are gathered there, and the head becomes two matrix products.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from .checkpoint import load_checkpoint
from .fold import fold_batch_norms
from .model import SiLK

OPSET, IR_VERSION = 18, 9  # what ONNX Runtime 1.17 reads
DEFAULT_KEYPOINTS = 1000  # what the file holds until a runtime replaces the initializer


class _DensePart(nn.Module):
    """uint8 image (1, 1, H, W) -> keypoint logits (1, 1, h, w) and backbone features (1, C, h + 2, w + 2).

    Where the heads pad, the features come padded: the nine that a position's descriptor depends on are always there.
    """

    def __init__(self, model: SiLK) -> None:
        super().__init__()
        self.backbone, self.keypoint_head = model.backbone, model.keypoint_head
        self.padding = model.architecture.head_padding

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(image.float() / 255)
        return self.keypoint_head(features), F.pad(features, [self.padding] * 4) if self.padding else features


class _Tail:
    """Collects the hand-written nodes and constants of the graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object, dtype: type) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, list(outputs), name=f"select/{outputs[0]}", **attributes))
        return outputs[0]


def _selection(model: SiLK, logits: str, features: str, max_keypoints: int) -> _Tail:
    """The best keypoints and their descriptors."""
    tail = _Tail()
    tail.constant("max_keypoints", [max_keypoints], np.int64)
    flat, first, last = (
        tail.constant(f"shape_{n}", v, np.int64) for n, v in (("flat", [-1]), ("first", [0]), ("last", [1]))
    )

    # TopK over the logits, not the scores: a sigmoid rounds the highest ones to equal values.
    tail.add("Reshape", [logits, flat], "flat_logits")
    tail.add("Shape", ["flat_logits"], "position_count")
    tail.add("Min", ["max_keypoints", "position_count"], "keypoint_count")
    tail.add("TopK", ["flat_logits", "keypoint_count"], "best_logits", "position", axis=0, largest=1, sorted=1)
    tail.add("Sigmoid", ["best_logits"], "unsorted_scores")
    # The vector instructions of some processors round neighbours into the wrong order.
    tail.add("TopK", ["unsorted_scores", "keypoint_count"], "flat_scores", "score_order", axis=0, largest=1, sorted=1)
    tail.add("Unsqueeze", ["flat_scores", first], "scores")

    tail.add("Shape", [logits], "map_width", start=3, end=4)
    tail.add("Div", ["position", "map_width"], "y")
    tail.add("Mul", ["y", "map_width"], "row_start")
    tail.add("Sub", ["position", "row_start"], "x")
    tail.add("Unsqueeze", ["x", last], "x_column")
    tail.add("Unsqueeze", ["y", last], "y_column")
    tail.add("Concat", ["x_column", "y_column"], "map_keypoints", axis=1)
    tail.add("Cast", ["map_keypoints"], "float_keypoints", to=TensorProto.FLOAT)
    tail.add("Mul", ["float_keypoints", tail.constant("stride", model.stride, np.float32)], "strided_keypoints")
    tail.add("Add", ["strided_keypoints", tail.constant("border", model.border, np.float32)], "pixel_keypoints")
    tail.add("Unsqueeze", ["pixel_keypoints", first], "keypoints")

    # The flat index of the nine neighbours of each keypoint in the feature map, keypoint by keypoint.
    tail.add("Shape", [features], "feature_width", start=3, end=4)
    rows, columns = np.divmod(np.arange(9), 3)
    tail.add("Mul", [tail.constant("neighbour_row", rows, np.int64), "feature_width"], "neighbour_start")
    tail.add("Add", ["neighbour_start", tail.constant("neighbour_column", columns, np.int64)], "neighbour")
    tail.add("Mul", ["y_column", "feature_width"], "centre_start")
    tail.add("Add", ["centre_start", "x_column"], "corner")
    tail.add("Add", ["corner", "neighbour"], "neighbours")
    tail.add("Reshape", ["neighbours", flat], "flat_neighbours")

    # Channels last, as convolutions leave them in memory: what is gathered is then in one piece.
    conv3x3, conv1x1 = (layer for layer in model.descriptor_head.modules() if isinstance(layer, nn.Conv2d))
    channels = conv3x3.in_channels
    tail.add("Transpose", [features], "features_last", perm=[0, 2, 3, 1])
    tail.add("Reshape", ["features_last", tail.constant("feature_columns", [-1, channels], np.int64)], "flat_features")
    tail.add("Gather", ["flat_features", "flat_neighbours"], "gathered", axis=0)
    tail.add("Reshape", ["gathered", tail.constant("patch_columns", [-1, 9 * channels], np.int64)], "patches")
    weight = conv3x3.weight.permute(2, 3, 1, 0).flatten(0, 2)
    tail.add("MatMul", ["patches", tail.constant("describe.weight", weight, np.float32)], "hidden_product")
    tail.add("Add", ["hidden_product", tail.constant("describe.bias", conv3x3.bias, np.float32)], "hidden_sum")
    tail.add("Relu", ["hidden_sum"], "hidden_relu")
    weight = conv1x1.weight.flatten(1).T
    tail.add("MatMul", ["hidden_relu", tail.constant("project.weight", weight, np.float32)], "projected_product")
    tail.add("Add", ["projected_product", tail.constant("project.bias", conv1x1.bias, np.float32)], "projected")
    # Not LpNormalization, which OpenVINO computes ten times slower.
    tail.add("ReduceL2", ["projected", last], "length", keepdims=1)
    tail.add("Max", ["length", tail.constant("least_length", 1e-12, np.float32)], "positive_length")
    tail.add("Div", ["projected", "positive_length"], "flat_descriptors")
    tail.add("Unsqueeze", ["flat_descriptors", first], "descriptors")
    return tail


def _export_dense(model: SiLK) -> onnx.ModelProto:
    size = torch.export.Dim("H", min=32), torch.export.Dim("W", min=32)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _DensePart(model).eval(),
            (torch.zeros(1, 1, 96, 128, dtype=torch.uint8),),
            input_names=["image"],
            output_names=["logits", "features"],
            dynamic_shapes={"image": {2: size[0], 3: size[1]}},
            opset_version=OPSET,
            dynamo=True,
        )
    assert program is not None
    return program.model_proto


def export_model(
    model: SiLK, output: str | Path, metadata: Mapping[str, object], max_keypoints: int = DEFAULT_KEYPOINTS
) -> onnx.ModelProto:
    """Write a network's ONNX file, checked, and return it.

    Input `image` uint8 (1, 1, H, W); outputs float32 `keypoints` (1, K, 2), `scores` (1, K), `descriptors` (1, K, D),
    best first, with K the initializer `max_keypoints`, or all positions of the map if there are fewer.
    """
    folded = fold_batch_norms(model)
    dense = _export_dense(folded)
    tail = _selection(folded, "logits", "features", max_keypoints)
    outputs = [
        helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, [1, "K", 2]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, "K"]),
        helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, [1, "K", model.architecture.descriptor_dim]),
    ]
    graph = helper.make_graph(
        [*dense.graph.node, *tail.nodes],
        f"SiLK {model.name}",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, "H", "W"])],
        outputs,
        [*dense.graph.initializer, *tail.initializers],
    )
    for node in graph.node:
        del node.metadata_props[:]  # PyTorch's stack traces, with paths of this machine
        node.doc_string = ""
    proto = helper.make_model(
        graph, producer_name="silk_ros", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    own = {
        "architecture": model.name,
        "border": model.border,
        "stride": model.stride,
        "descriptor_dim": model.architecture.descriptor_dim,
    }
    helper.set_model_props(proto, {name: str(value) for name, value in {**own, **metadata}.items()})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, output)
    return proto


def export(checkpoint: str | Path, output: str | Path, max_keypoints: int = DEFAULT_KEYPOINTS) -> onnx.ModelProto:
    """Write the ONNX file of a checkpoint, with the training's provenance in its metadata."""
    training = load_checkpoint(checkpoint)
    metadata = {f"training_{name}": value for name, value in training.provenance.items()}
    return export_model(training.network(), output, {**metadata, "training_steps": training.step}, max_keypoints)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="what training.train wrote: best.safetensors or last.safetensors")
    parser.add_argument("output", type=Path, help="the ONNX file to write")
    parser.add_argument(
        "--max-keypoints",
        type=int,
        default=DEFAULT_KEYPOINTS,
        help="keypoints per image until a runtime asks for another number (%(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        proto = export(options.checkpoint, options.output, options.max_keypoints)
    except (FileNotFoundError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output}: " + ", ".join(f"{entry.key}={entry.value}" for entry in proto.metadata_props))
    return 0


if __name__ == "__main__":
    sys.exit(main())
