"""Conversion of a graph to float16 where it is safe: convolutions, and descriptors before they are normalised.

Logits stay in float32, because float16 makes many of them equal and the choice between them arbitrary; so do
coordinates, scores and normalised descriptors.
"""

from __future__ import annotations

import numpy as np

from ..onnx_graph import SELECTION, add_constant, onnx, replace_nodes

# The nodes of the selection that may compute in half precision.
HALF_SELECTION = {
    SELECTION + name
    for name in (
        *("features_last", "flat_features", "gathered", "patches"),
        *("hidden_product", "hidden_sum", "hidden_relu", "projected_product", "projected"),
    )
}
QDQ = ("QuantizeLinear", "DequantizeLinear")
QDQ_OPSET = 19  # the first opset in which DequantizeLinear can give float16


def to_half(network: onnx.ModelProto, logits: str) -> None:
    """Convert a network in place, with casts between the two precisions; `logits` is the tensor of keypoint logits."""
    graph = network.graph
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(network).graph.value_info}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    if any(node.op_type in QDQ for node in graph.node):
        network.opset_import[0].version = max(QDQ_OPSET, network.opset_import[0].version)
    started = False  # the conversion of the image to float, before the first convolution, stays in float32
    produced: dict[str, bool] = {}  # computed floating-point tensors, and whether they are float16
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        started |= node.op_type == "Conv"
        selecting = node.name.startswith(SELECTION)
        inside = node.op_type in QDQ or (started and logits not in node.output)
        half = node.name in HALF_SELECTION if selecting else inside
        for position, name in enumerate(node.input):
            if name in weights and weights[name].data_type == onnx.TensorProto.FLOAT and half:
                node.input[position] = _half_weight(graph, weights[name])
            elif produced.get(name, half) != half:
                node.input[position] = _cast(nodes, name, half, SELECTION if selecting else "")
        produced |= {name: half for name in node.output if types.get(name) == onnx.TensorProto.FLOAT}
        nodes.append(node)
    replace_nodes(graph, nodes)


def _half_weight(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> str:
    name = f"{tensor.name}_half"
    if all(existing.name != name for existing in graph.initializer):
        add_constant(graph, name, onnx.numpy_helper.to_array(tensor), np.float16)
    return name


def _cast(nodes: list[onnx.NodeProto], name: str, half: bool, prefix: str) -> str:
    output = f"{name}_{'half' if half else 'float'}"
    if all(output not in node.output for node in nodes):
        to = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
        nodes.append(onnx.helper.make_node("Cast", [name], [output], f"{prefix}cast_{output}", to=to))
    return output
