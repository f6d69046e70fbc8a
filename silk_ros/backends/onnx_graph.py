"""Reading and editing ONNX graphs, and how training.export names their nodes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .base import BackendUnavailable
from .model import read_model, unusable

try:
    import onnx as onnx  # for the other modules too: the error is told once
except ImportError as error:
    raise BackendUnavailable(
        "building TensorRT engines needs the onnx package: pip install 'silk_ros[tensorrt]'"
    ) from error

SELECTION = "select/"  # before the names of the nodes that choose keypoints and describe them


def read_network(file: Path) -> onnx.ModelProto:
    """The graph of an exported file. Raises ValueError, naming the fix, for one that is not ONNX or not usable."""
    content = read_model(file)
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:
        raise unusable(file, error) from error


def find_node(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    """Raises ValueError, naming the fix, for a graph without the node."""
    for node in graph.node:
        if node.name == name:
            return node
    raise ValueError("the file's graph is not one that training.export writes: export the network again")


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Set all nodes of a graph, in the order in which they compute."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def add_constant(graph: onnx.GraphProto, name: str, value: object, dtype: type) -> str:
    """Add a constant and return its name."""
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


def drop_unused_constants(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
