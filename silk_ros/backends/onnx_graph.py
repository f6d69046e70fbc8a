"""Helpers to read and edit ONNX graphs that training.export wrote."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from .base import BackendUnavailable, unusable

try:
    import onnx as onnx  # other modules import it from here, for the error below
except ImportError as error:
    raise BackendUnavailable(
        "TensorRT, or a selection by border, cells or radius, needs the onnx package: pip install onnx"
    ) from error

if TYPE_CHECKING:
    from .model import ModelFile

SELECTION = "select/"  # prefix of the names of the nodes that choose and describe keypoints


def read_network(file: ModelFile) -> onnx.ModelProto:
    """The graph of an exported file. Raises ValueError, naming the fix, if onnx cannot parse it."""
    try:
        return onnx.load_model_from_string(file.content)
    except Exception as error:
        raise unusable(file.path, error) from error


def find_node(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    """The node of a name. Raises ValueError, naming the fix, for a graph without it."""
    for node in graph.node:
        if node.name == name:
            return node
    raise ValueError("the file's graph is not one that training.export writes: export the network again")


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace all nodes of a graph; `nodes` are in topological order and may come from the graph itself."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def add_constant(graph: onnx.GraphProto, name: str, value: object, dtype: type) -> str:
    """Add a constant and return its name."""
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


def drop_unused_constants(graph: onnx.GraphProto) -> None:
    """Remove the initializers that no node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
