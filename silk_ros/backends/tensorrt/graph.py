"""Rewriting of the exported graph for TensorRT: fixed sizes, half precision where it is safe, matching of frames.

The result is plain ONNX, so any runtime can check that it still computes the same.
"""

from __future__ import annotations

from string import Template

import numpy as np

from ..onnx_graph import SELECTION, add_constant, drop_unused_constants, find_node, onnx, replace_nodes
from .half_precision import to_half

TOP_K_LIMIT = 3840  # largest K of a TopK layer in TensorRT
LOWEST = float(np.finfo(np.float16).min)  # below every logit; infinities are slow or refused by some layers
IMAGE, PREVIOUS = "image", "previous_descriptors"
PARTNER, SIMILARITY = "partner", "similarity"
MATCHING = Template("""match (float[$K, $D] previous_descriptors) => (
    float[1, $K, 2] keypoints, float[1, $K] scores, float[1, $K, $D] descriptors,
    int32[$K] partner, float[$K] similarity
) <int64 match_first = {0}, int64[1] match_one = {1}, int64[1] match_flat = {-1}, int64 match_nobody = {-1}> {
    match_own = Gather <axis = 0> (descriptors, match_first)
    match_columns = Transpose <perm = [1, 0]> (previous_descriptors)
    match_cosines = MatMul (match_own, match_columns)
    match_best, match_nearest_column = TopK <axis = 1> (match_cosines, match_one)
    match_column_best, match_back_row = TopK <axis = 0> (match_cosines, match_one)
    similarity = Reshape (match_best, match_flat)
    match_nearest = Reshape (match_nearest_column, match_flat)
    match_back = Reshape (match_back_row, match_flat)
    match_returned = Gather <axis = 0> (match_back, match_nearest)
    match_mutual = Equal (match_returned, match_rows)
    match_partner = Where (match_mutual, match_nearest, match_nobody)
    partner = Cast <to = 6> (match_partner)
}""")  # 6: int32


def specialise(network: onnx.ModelProto, height: int, width: int, max_keypoints: int, half: bool) -> onnx.ModelProto:
    """A copy of an exported network for images of (height, width), with matching.

    Inputs: `image` uint8 (1, 1, height, width) and `previous_descriptors` float32 (K, D). Outputs: `keypoints` float32
    (1, K, 2), `scores` (1, K), `descriptors` (1, K, D), and for each keypoint its mutual nearest neighbour among the
    previous descriptors: `partner` int32 (K,), -1 without one, and `similarity` float32 (K,), the cosine to the
    nearest. K is max_keypoints, or the number of positions in the map if that is smaller.

    half: whether to compute in float16 from the first convolution to the last but one, and up to the normalisation of
    descriptors.

    Raises ValueError for a graph that training.export did not write, and for images below the receptive field.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    logits = find_node(copy.graph, SELECTION + "flat_logits").input[0]
    count = _fix_sizes(copy, logits, height, width, max_keypoints)
    for name in ("best_logits", "flat_scores"):
        _top_k_in_rounds(copy.graph, SELECTION + name, count)
    if half:
        to_half(copy, logits)
    metadata = {entry.key: entry.value for entry in copy.metadata_props}
    _add_matching(copy.graph, count, int(metadata["descriptor_dim"]))
    drop_unused_constants(copy.graph)
    return copy


def _fix_sizes(network: onnx.ModelProto, logits: str, height: int, width: int, max_keypoints: int) -> int:
    """Fix the size of the input and the number of keypoints, which is returned."""
    graph = network.graph
    for dimension, size in zip(graph.input[0].type.tensor_type.shape.dim, (1, 1, height, width), strict=True):
        dimension.Clear()
        dimension.dim_value = size
    del graph.output[:], graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(network, strict_mode=True)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.graph.value_info}
    rows, columns = (dimension.dim_value for dimension in shapes[logits][2:])
    if min(rows, columns) < 1:
        raise ValueError(f"images of {width}x{height} are smaller than the network's receptive field")
    count = min(max_keypoints, rows * columns)
    replace_nodes(
        graph, (n for n in graph.node if n.name not in (SELECTION + "position_count", SELECTION + "keypoint_count"))
    )
    add_constant(graph, "keypoint_count", [count], np.int64)
    return count


def _top_k_in_rounds(graph: onnx.GraphProto, name: str, count: int) -> None:
    """Split a TopK of more than TOP_K_LIMIT into rounds; each excludes what the rounds before it took."""
    if count <= TOP_K_LIMIT:
        return
    make, node, nodes = onnx.helper.make_node, find_node(graph, name), []
    remaining, parts = node.input[0], range(0, count, TOP_K_LIMIT)
    for start in parts:
        size = min(TOP_K_LIMIT, count - start)
        found = [f"{output}_{start}" for output in node.output]
        size_name = add_constant(graph, f"{name}_{start}_size", [size], np.int64)
        nodes.append(make("TopK", [remaining, size_name], found, f"{name}_{start}", axis=0, largest=1, sorted=1))
        if start != parts[-1]:
            taken = add_constant(graph, f"{name}_{start}_taken", np.full(size, LOWEST), np.float32)
            rest = f"{name}_remaining_{start}"
            nodes.append(make("ScatterElements", [remaining, found[1], taken], [rest], rest))
            remaining = rest
    for output in node.output:
        nodes.append(make("Concat", [f"{output}_{start}" for start in parts], [output], f"{name}_{output}", axis=0))
    at = list(graph.node).index(node)
    replace_nodes(graph, [*graph.node[:at], *nodes, *graph.node[at + 1 :]])


def _add_matching(graph: onnx.GraphProto, count: int, dimension: int) -> None:
    """Add the mutual nearest neighbours among the previous descriptors, and set the graph's inputs and outputs."""
    matching = onnx.parser.parse_graph(MATCHING.substitute(K=count, D=dimension))
    add_constant(graph, "match_rows", np.arange(count), np.int64)
    for name in ("node", "initializer", "input", "output"):
        getattr(graph, name).extend(getattr(matching, name))
