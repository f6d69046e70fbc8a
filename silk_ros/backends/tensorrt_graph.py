"""The exported graph rewritten for TensorRT: fixed sizes, half precision where it is safe, matching of frames.

What comes out is plain ONNX: any runtime can be asked whether it still computes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from .base import BackendUnavailable
from .model_file import unusable

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper, shape_inference
except ImportError as error:
    raise BackendUnavailable(
        "building TensorRT engines needs the onnx package: pip install 'silk_ros[tensorrt]'"
    ) from error

TOP_K_LIMIT = 3840  # of one TopK layer of TensorRT
LOWEST = float(np.finfo(np.float16).min)  # below every logit, and no infinity: those are slow or refused in places
IMAGE, PREVIOUS = "image", "previous_descriptors"
PARTNER, SIMILARITY = "partner", "similarity"
SELECTION = "select/"  # how training.export names the nodes that choose keypoints and describe them
# Of those, the nodes that may compute in half precision: descriptors before they are normalised, not coordinates.
HALF_SELECTION = {
    SELECTION + name
    for name in (
        *("features_last", "flat_features", "gathered", "patches"),
        *("hidden_product", "hidden_sum", "hidden_relu", "projected_product", "projected"),
    )
}
QDQ = ("QuantizeLinear", "DequantizeLinear")
QDQ_OPSET = 19  # the first where a DequantizeLinear can give float16


def read_network(file: Path) -> onnx.ModelProto:
    """The graph of an exported file. Raises ValueError, naming the fix, for one that is not ONNX."""
    try:
        return onnx.load(file)
    except Exception as error:
        raise unusable(file, error) from error


def specialise(
    network: onnx.ModelProto, height: int, width: int, max_keypoints: int, half: bool, batch: int = 1
) -> onnx.ModelProto:
    """A copy of an exported network for `batch` images of (height, width), with matching.

    It takes `image` uint8 (batch, 1, height, width) and `previous_descriptors` float32 (K, D), and gives `keypoints`
    float32 (batch, K, 2), `scores` (batch, K), `descriptors` (batch, K, D), and for each keypoint of the first image of
    the batch its mutual nearest neighbour among the previous descriptors: `partner` int32 (K,), -1 without one, and
    `similarity` float32 (K,), the cosine to the nearest. K is max_keypoints, or the positions of the map if they are
    fewer. half: compute in float16 from the first convolution to the last but one, and up to the descriptors' norm.

    Raises ValueError for a graph that training.export did not write, and images below the receptive field.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    names = {node.name for node in copy.graph.node}
    if not {SELECTION + "best_logits", SELECTION + "keypoint_count", SELECTION + "flat_logits"} <= names:
        raise ValueError("the file's graph is not one that training.export writes: export the network again")
    count = _fix_sizes(copy, height, width, max_keypoints, batch)
    _top_k_in_rounds(copy.graph, count)
    if half:
        _to_half(copy)
    if batch > 1:
        _select_each(copy.graph, batch)
    _add_matching(copy.graph, count, _dimension(copy))
    _drop_unused_constants(copy.graph)
    return copy


def _dimension(network: onnx.ModelProto) -> int:
    return int({entry.key: entry.value for entry in network.metadata_props}["descriptor_dim"])


def _constant(graph: onnx.GraphProto, name: str, value: object, dtype: type) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


def _drop_unused_constants(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _find(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    return next(node for node in graph.node if node.name == name)


def _replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def _fix_sizes(network: onnx.ModelProto, height: int, width: int, max_keypoints: int, batch: int) -> int:
    """Give the input its size and the top-k its constant count, which is returned."""
    graph = network.graph
    for dimension, size in zip(graph.input[0].type.tensor_type.shape.dim, (batch, 1, height, width), strict=True):
        dimension.Clear()
        dimension.dim_value = size
    logits = _find(graph, SELECTION + "flat_logits").input[0]
    del graph.output[:], graph.value_info[:]
    inferred = shape_inference.infer_shapes(network, strict_mode=True)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.graph.value_info}
    rows, columns = (dimension.dim_value for dimension in shapes[logits][2:])
    if min(rows, columns) < 1:
        raise ValueError(f"images of {width}x{height} are smaller than the network's receptive field")
    count = min(max_keypoints, rows * columns)
    _replace_nodes(
        graph, (n for n in graph.node if n.name not in (SELECTION + "position_count", SELECTION + "keypoint_count"))
    )
    _constant(graph, "keypoint_count", [count], np.int64)
    return count


def _top_k_in_rounds(graph: onnx.GraphProto, count: int) -> None:
    """Exactly the best `count`, in rounds of what one TopK can give, each without what was taken before."""
    if count <= TOP_K_LIMIT:
        return
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name != SELECTION + "best_logits":
            nodes.append(node)
            continue
        remaining, parts = node.input[0], range(0, count, TOP_K_LIMIT)
        for start in parts:
            size = min(TOP_K_LIMIT, count - start)
            size_name = _constant(graph, f"round_{start}_size", [size], np.int64)
            found = [f"{output}_{start}" for output in node.output]
            nodes.append(
                helper.make_node(
                    "TopK", [remaining, size_name], found, f"{node.name}_{start}", axis=0, largest=1, sorted=1
                )
            )
            if start != parts[-1]:
                taken = _constant(graph, f"round_{start}_taken", np.full(size, LOWEST), np.float32)
                remaining = f"remaining_{start}"
                nodes.append(
                    helper.make_node(
                        "ScatterElements", [nodes[-1].input[0], found[1], taken], [remaining], f"{SELECTION}{remaining}"
                    )
                )
        for output in node.output:
            nodes.append(
                helper.make_node(
                    "Concat", [f"{output}_{start}" for start in parts], [output], f"{SELECTION}all_{output}", axis=0
                )
            )
    _replace_nodes(graph, nodes)


def _to_half(network: onnx.ModelProto) -> None:
    """Compute in float16 what may be: casts are put where values pass between the two precisions."""
    graph = network.graph
    logits = _find(graph, SELECTION + "flat_logits").input[0]
    types = {v.name: v.type.tensor_type.elem_type for v in shape_inference.infer_shapes(network).graph.value_info}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    if any(node.op_type in QDQ for node in graph.node):
        network.opset_import[0].version = max(QDQ_OPSET, network.opset_import[0].version)
    started = False
    produced: dict[str, bool] = {}  # float tensors, and whether they are half
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        started |= node.op_type == "Conv"
        selecting = node.name.startswith(SELECTION)
        inside = node.op_type in QDQ or (started and logits not in node.output)
        half = node.name in HALF_SELECTION if selecting else inside
        for position, name in enumerate(node.input):
            if name in weights and weights[name].data_type == TensorProto.FLOAT and half:
                node.input[position] = _half_weight(graph, weights[name])
            elif produced.get(name, half) != half:
                node.input[position] = _cast(nodes, name, half, SELECTION if selecting else "")
        produced |= {name: half for name in node.output if types.get(name) == TensorProto.FLOAT}
        nodes.append(node)
    _replace_nodes(graph, nodes)


def _half_weight(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> str:
    name = f"{tensor.name}_half"
    if all(existing.name != name for existing in graph.initializer):
        _constant(graph, name, numpy_helper.to_array(tensor), np.float16)
    return name


def _cast(nodes: list[onnx.NodeProto], name: str, half: bool, prefix: str) -> str:
    output = f"{name}_{'half' if half else 'float'}"
    if all(output not in node.output for node in nodes):
        to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        nodes.append(helper.make_node("Cast", [name], [output], f"{prefix}cast_{output}", to=to))
    return output


def _select_each(graph: onnx.GraphProto, batch: int) -> None:
    """Select from each image of a batch on its own: the dense part before computes them together."""
    dense = [node for node in graph.node if not node.name.startswith(SELECTION)]
    selection = [node for node in graph.node if node.name.startswith(SELECTION)]
    made = {output for node in selection for output in node.output}
    shared = {output for node in dense for output in node.output}
    nodes = dense
    for index in range(batch):
        start, stop = (
            _constant(graph, f"image_{index}_{n}", [v], np.int64) for n, v in (("from", index), ("to", index + 1))
        )
        axis = _constant(graph, f"image_{index}_axis", [0], np.int64)
        renamed: dict[str, str] = {name: f"{name}_{index}" for name in made}
        for name in sorted({name for node in selection for name in node.input} & shared):
            renamed[name] = f"{name}_{index}"
            nodes.append(
                helper.make_node("Slice", [name, start, stop, axis], [renamed[name]], f"slice/{renamed[name]}")
            )
        for node in selection:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{node.name}_{index}"
            _rename(copy, renamed)
            nodes.append(copy)
    for output in ("keypoints", "scores", "descriptors"):
        parts = [f"{output}_{index}" for index in range(batch)]
        nodes.append(helper.make_node("Concat", parts, [output], f"batch/{output}", axis=0))
    _replace_nodes(graph, nodes)


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for tensors in (node.input, node.output):
        for position, name in enumerate(tensors):
            tensors[position] = names.get(name, name)


def _add_matching(graph: onnx.GraphProto, count: int, dimension: int) -> None:
    """Mutual nearest neighbours of the first image's descriptors among the previous ones, and the graph's outputs."""
    first = _constant(graph, "match/first", 0, np.int64)
    one = _constant(graph, "match/one", [1], np.int64)
    flat = _constant(graph, "match/flat", [-1], np.int64)
    rows = _constant(graph, "match/rows", np.arange(count), np.int64)
    nobody = _constant(graph, "match/nobody", -1, np.int64)
    for operator, inputs, outputs, attributes in (
        ("Gather", ["descriptors", first], ["match/own"], {"axis": 0}),
        ("Transpose", [PREVIOUS], ["match/columns"], {"perm": [1, 0]}),
        ("MatMul", ["match/own", "match/columns"], ["match/cosines"], {}),
        ("TopK", ["match/cosines", one], ["match/best", "match/nearest_column"], {"axis": 1}),
        ("TopK", ["match/cosines", one], ["match/column_best", "match/back_row"], {"axis": 0}),
        ("Reshape", ["match/best", flat], [SIMILARITY], {}),
        ("Reshape", ["match/nearest_column", flat], ["match/nearest"], {}),
        ("Reshape", ["match/back_row", flat], ["match/back"], {}),
        ("Gather", ["match/back", "match/nearest"], ["match/returned"], {"axis": 0}),
        ("Equal", ["match/returned", rows], ["match/mutual"], {}),
        ("Where", ["match/mutual", "match/nearest", nobody], ["match/partner"], {}),
        ("Cast", ["match/partner"], [PARTNER], {"to": TensorProto.INT32}),
    ):
        graph.node.append(helper.make_node(operator, inputs, outputs, f"match/{outputs[0]}", **attributes))
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value
    graph.input.append(helper.make_tensor_value_info(PREVIOUS, TensorProto.FLOAT, [count, dimension]))
    graph.output.extend(
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("keypoints", TensorProto.FLOAT, [batch, count, 2]),
            ("scores", TensorProto.FLOAT, [batch, count]),
            ("descriptors", TensorProto.FLOAT, [batch, count, dimension]),
            (PARTNER, TensorProto.INT32, [count]),
            (SIMILARITY, TensorProto.FLOAT, [count]),
        )
    )
