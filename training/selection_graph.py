"""ONNX graph from the dense maps to the best keypoints, their scores and their descriptors."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import torch
from onnx import numpy_helper
from torch import nn

from .model import SiLK

# ONNX's text format. Inputs of the graph: the logits (1, 1, h, w) and the features (1, C, h + 2, w + 2).
GRAPH = """
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


def selection_graph(model: SiLK, max_keypoints: int) -> onnx.GraphProto:
    """Graph for a network without BatchNorms in its descriptor head; nodes are named select/OUTPUT."""
    graph = onnx.parser.parse_graph(GRAPH.replace("D]", f"{model.architecture.descriptor_dim}]"))
    for node in graph.node:
        node.name = f"select/{node.output[0]}"
        node.input[:] = [name.replace("__", ".") for name in node.input]  # names in the text format have no dots
    convolutions = [layer for layer in model.descriptor_head.modules() if isinstance(layer, nn.Conv2d)]
    describe, project = (layer.state_dict() for layer in convolutions)  # 3x3 and 1x1
    channels = describe["weight"].shape[1]
    integers = {"max_keypoints": [max_keypoints]}
    integers |= {"feature_columns": [-1, channels], "patch_columns": [-1, 9 * channels]}
    floats = {
        "stride": torch.tensor([model.stride]),
        "border": torch.tensor([model.border]),
        "describe.weight": describe["weight"].permute(2, 3, 1, 0).flatten(0, 2),
        "describe.bias": describe["bias"],
        "project.weight": project["weight"].flatten(1).T,
        "project.bias": project["bias"],
    }
    constants = {name: np.array(value, np.int64) for name, value in integers.items()}
    constants |= {name: value.float().numpy() for name, value in floats.items()}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return graph
