"""Export a trained network to the ONNX file that the node loads.

    python -m training.export runs/mu/best.safetensors models/silk_vggnp_mu.onnx

The network maps a uint8 image to the best keypoints, their scores and their descriptors. PyTorch exports the dense
part. The selection is the graph in selection_graph.py, which computes descriptors at the selected keypoints only: it
gathers the 3x3 neighbourhoods that the descriptor head reads, and the head becomes two matrix products.
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

import onnx
import torch
import torch.nn.functional as F
from onnx import helper
from torch import Tensor, nn

from .checkpoint import load_checkpoint
from .fold import fold_batch_norms
from .model import SiLK
from .options import readable_errors
from .selection_graph import selection_graph

OPSET, IR_VERSION = 18, 9  # the newest that ONNX Runtime 1.17 reads
DEFAULT_KEYPOINTS = 1000  # value in the file until a runtime replaces the initializer


class _DensePart(nn.Module):
    """uint8 image (1, 1, H, W) -> keypoint logits (1, 1, h, w) and backbone features (1, C, h + 2, w + 2).

    Where the heads pad, the features are padded here, so that every position has its nine neighbours.
    """

    def __init__(self, model: SiLK) -> None:
        super().__init__()
        self.backbone, self.keypoint_head = model.backbone, model.keypoint_head
        self.padding = model.architecture.head_padding

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(image.float() / 255)
        return self.keypoint_head(features), F.pad(features, [self.padding] * 4) if self.padding else features


def _export_dense(model: SiLK) -> onnx.GraphProto:
    """ONNX graph of the dense part, for any image size from 32 pixels a side."""
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
    return program.model_proto.graph


def export_model(
    model: SiLK, output: str | Path, metadata: Mapping[str, object], max_keypoints: int = DEFAULT_KEYPOINTS
) -> onnx.ModelProto:
    """Write the checked ONNX file of a network and return it.

    Input `image` uint8 (1, 1, H, W); outputs float32 `keypoints` (1, K, 2) in pixels (x, y), `scores` (1, K) and
    `descriptors` (1, K, D) of unit length, by falling score. K is the initializer `max_keypoints`, or the number of
    positions of the map if that is smaller.
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
    onnx.save(proto, output)
    return proto


def export(checkpoint: str | Path, output: str | Path, max_keypoints: int = DEFAULT_KEYPOINTS) -> onnx.ModelProto:
    """Write the ONNX file of a checkpoint, with the provenance of the training in its metadata."""
    training = load_checkpoint(checkpoint)
    metadata = {f"training_{name}": value for name, value in training.provenance.items()}
    return export_model(training.network(), output, {**metadata, "training_steps": training.step}, max_keypoints)


@readable_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="best.safetensors or last.safetensors of a training")
    parser.add_argument("output", type=Path, help="ONNX file to write")
    parser.add_argument(
        "--max-keypoints",
        type=int,
        default=DEFAULT_KEYPOINTS,
        help="keypoints until a runtime changes it (%(default)s)",
    )
    options = parser.parse_args(arguments)
    proto = export(options.checkpoint, options.output, options.max_keypoints)
    print(f"wrote {options.output}: " + ", ".join(f"{entry.key}={entry.value}" for entry in proto.metadata_props))
    return 0


if __name__ == "__main__":
    sys.exit(main())
