"""Insertion of selection rules into an exported graph, between its logits and its top-k.

The rules change the map from which the top-k takes the keypoints; all that follows, such as the descriptors of these
keypoints, stays as it is. The result is plain ONNX for images of any size.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from .onnx_graph import SELECTION, find_node, onnx, read_network, replace_nodes
from .rules import SelectionRules

if TYPE_CHECKING:
    from .model import ModelFile

LOWEST = -32768.0  # logit of excluded positions; exact in all types, and infinities are slow or refused by some layers
TIER = 100.0  # more than logits differ where sigmoids do; a larger number would leave less of their precision
NMS_ROUNDS = 3  # each finds the best of what the rounds before left
PREFIX = "rules/"  # of the names of the inserted tensors

# ONNX's text format. `map` is the score map (1, 1, h, w) that a part changes.
BORDER = """border (float[1, 1, h, w] map) => (float[1, 1, h, w] inside)
<int64 margin = {$margin}, int64 zero = {0}, int64 one = {1}, int64 third = {2}, int64 fourth = {3},
 int64[1] second_axis = {1}, float lowest = {$lowest}>
{
    # The distance of each row and column to the nearer end.
    shape = Shape(map)
    height = Gather <axis = 0> (shape, third)
    width = Gather <axis = 0> (shape, fourth)
    row = Range(zero, height, one)
    column = Range(zero, width, one)
    last_row = Sub(height, one)
    last_column = Sub(width, one)
    rows_below = Sub(last_row, row)
    columns_right = Sub(last_column, column)
    from_row_end = Min(row, rows_below)
    from_column_end = Min(column, columns_right)
    row_inside = GreaterOrEqual(from_row_end, margin)
    column_inside = GreaterOrEqual(from_column_end, margin)
    row_inside_column = Unsqueeze(row_inside, second_axis)
    is_inside = And(row_inside_column, column_inside)
    inside = Where(is_inside, map, lowest)
}"""

# The best of the square around each position of the map $of. Two pools are faster than one that is square, and the
# first one is faster with the rows of the map as channels.
POOL = """${best}_rows = Reshape($of, as_channels)
    ${best}_row = MaxPool <kernel_shape = [1, $side], pads = [0, $radius, 0, $radius]> (${best}_rows)
    ${best}_wide = Reshape(${best}_row, as_rows)
    $best = MaxPool <kernel_shape = [$side, 1], pads = [$radius, 0, $radius, 0]> (${best}_wide)"""
NMS_START = """nms (float[1, 1, h, w] map) => (float[1, 1, h, w] peaks)
<int64[4] as_channels = {0, -1, 1, 0}, int64[4] as_rows = {0, 1, -1, 0},
 float lowest = {$lowest}, float half_lowest = {$half_lowest}, float nowhere = {-1}, float zero = {0}, float one = {1}>
{
    $pool_map
    is_best_0 = Equal(best_0, map)
    kept_0 = Where(is_best_0, map, lowest)"""
NMS_ROUND = """
    # Of the positions that have no kept one beside them, the best ones of their squares.
    $pool_kept
    beside_$round = Greater(near_$round, half_lowest)
    left_$round = Where(beside_$round, lowest, map)
    $pool_left
    is_best_$round = Equal(best_$round, left_$round)
    added_$round = Where(is_best_$round, left_$round, lowest)
    kept_$round = Max(kept_$before, added_$round)"""
NMS_END = """
    # Of equal ones, the last.
    shape = Shape(map)
    size = Size(map)
    float_size = Cast <to = 1> (size)
    places = Range(zero, float_size, one)
    place_map = Reshape(places, shape)
    is_kept = Greater(kept_$last, half_lowest)
    kept_places = Where(is_kept, place_map, nowhere)
    $pool_places
    is_last = Equal(last_place, kept_places)
    peaks = Where(is_last, kept_$last, lowest)
}"""

CELLS = """cells (float[1, 1, h, w] map) => (float[n] ranked)
<int64[2] sides = {$side, $side}, int64[2] begun = {$begun, $begun}, int64[1] side = {$side}, int64[1] area = {$area},
 int64[1] count = {$count}, int64[2] corner = {$corner, $corner}, int64[6] pads_begin = {0, 0, $corner, $corner, 0, 0},
 int64[2] axes = {0, 1}, int64[1] first = {0}, int64[1] second = {1}, int64[1] third = {2}, int64[1] flat = {-1},
 float[$count] bonus = {$bonus}, float lowest = {$lowest}, float tier = {$tier}>
{
    # The map, padded to whole cells of a grid that begins at the corner of the image.
    shape = Shape <start = 2> (map)
    end = Add(shape, corner)
    end_begun = Add(end, begun)
    grid_shape = Div(end_begun, sides)
    grid_end = Mul(grid_shape, sides)
    pads_end = Sub(grid_end, end)
    pads = Concat <axis = 0> (pads_begin, pads_end)
    grid = Pad(map, pads, lowest)

    # One row for each cell.
    rows = Slice(grid_shape, first, second)
    columns = Slice(grid_shape, second, third)
    split_shape = Concat <axis = 0> (rows, side, columns, side)
    split = Reshape(grid, split_shape)
    grouped = Transpose <perm = [0, 2, 1, 3]> (split)
    cells_shape = Concat <axis = 0> (flat, area)
    cells = Reshape(grouped, cells_shape)
    best, place = TopK <axis = 1, largest = 1, sorted = 1> (cells, count)

    # Three tiers: the best one of every cell, the others that the cells prefer, and the rest.
    raised = Add(best, bonus)
    lowered = Sub(cells, tier)
    tiers = ScatterElements <axis = 1> (lowered, place, raised)

    grouped_shape = Concat <axis = 0> (rows, columns, side, side)
    grouped_tiers = Reshape(tiers, grouped_shape)
    split_tiers = Transpose <perm = [0, 2, 1, 3]> (grouped_tiers)
    grid_tiers = Reshape(split_tiers, grid_end)
    map_tiers = Slice(grid_tiers, corner, end, axes)
    ranked = Reshape(map_tiers, flat)
}"""


def with_rules(file: ModelFile, rules: SelectionRules) -> bytes:
    """The content of a file whose top-k takes what the rules keep; the outputs are still best score first.

    Excluded positions have the logit LOWEST: they come last if there are fewer others than keypoints wanted. Raises
    ValueError for a graph that training.export did not write, or that onnx cannot parse.
    """
    network = read_network(file)
    graph = network.graph
    lost, stride = (_constant(graph, name) for name in ("border", "stride"))
    top_k, scores = find_node(graph, SELECTION + "best_logits"), find_node(graph, SELECTION + "flat_scores")
    changed = find_node(graph, SELECTION + "flat_logits").input[0]
    before: list[onnx.NodeProto] = []
    if margin := max(0, -int((lost - rules.border) // stride)):
        changed = _insert(graph, before, _fill(BORDER, margin=margin), changed)
    if radius := int(rules.nms_radius // stride):
        changed = _insert(graph, before, _nms(radius), changed)
    flat = PREFIX + "flat"
    before.append(onnx.helper.make_node("Reshape", [changed, "shape_flat"], [flat], SELECTION + flat))
    top_k.input[0] = flat
    after: dict[str, list[onnx.NodeProto]] = {}
    if rules.max_per_cell:
        side = max(1, round(rules.cell_size / stride))
        top_k.input[0] = _insert(graph, before, _cells(side, rules.max_per_cell, round(lost / stride)), changed)
        after = _order_by_score(top_k, scores, flat)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += [*(before if node is top_k else ()), node, *after.get(node.name, ())]
    replace_nodes(graph, nodes)
    return network.SerializeToString()


def _order_by_score(top_k: onnx.NodeProto, scores: onnx.NodeProto, flat: str) -> dict[str, list[onnx.NodeProto]]:
    """Nodes to insert after two nodes, by name: the logits and positions of the top-k by rank, ordered by score."""
    logits, position = top_k.output
    found = PREFIX + "position"
    top_k.output[:] = [PREFIX + "best_ranked", found]
    gather = onnx.helper.make_node
    return {
        top_k.name: [gather("Gather", [flat, found], [logits], SELECTION + PREFIX + logits, axis=0)],
        scores.name: [gather("Gather", [found, scores.output[1]], [position], SELECTION + PREFIX + position, axis=0)],
    }


def _nms(radius: int) -> str:
    def pool(of: str, best: str) -> str:
        return _fill(POOL, of=of, best=best, radius=radius, side=2 * radius + 1)

    text = _fill(NMS_START, pool_map=pool("map", "best_0"), half_lowest=LOWEST / 2)
    for number in range(1, NMS_ROUNDS):
        pools = {"pool_kept": pool(f"kept_{number - 1}", f"near_{number}")}
        pools["pool_left"] = pool(f"left_{number}", f"best_{number}")
        text += _fill(NMS_ROUND, round=number, before=number - 1, **pools)
    return text + _fill(NMS_END, last=NMS_ROUNDS - 1, pool_places=pool("kept_places", "last_place"))


def _cells(side: int, count: int, corner: int) -> str:
    count = min(count, side * side)
    bonus = ", ".join(map(str, [TIER, *[0] * (count - 1)]))
    return _fill(CELLS, side=side, begun=side - 1, area=side * side, count=count, corner=corner, bonus=bonus)


def _fill(text: str, **values: object) -> str:
    return Template(text).substitute(lowest=LOWEST, tier=TIER, **values)


def _insert(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], text: str, source: str) -> str:
    """Add the nodes and constants of a part that changes the map `source`; returns the name of the changed map."""
    part = onnx.parser.parse_graph(text)
    names = {"map": source}
    prefix = f"{PREFIX}{part.name}/"
    for tensor in part.initializer:
        names[tensor.name] = tensor.name = prefix + tensor.name
    for node in part.node:
        names |= {name: prefix + name for name in node.output}
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.name = SELECTION + node.output[0]
    graph.initializer.extend(part.initializer)
    nodes.extend(part.node)
    return names[part.output[0].name]


def _constant(graph: onnx.GraphProto, name: str) -> float:
    for tensor in graph.initializer:
        if tensor.name == name:
            return float(onnx.numpy_helper.to_array(tensor).item())
    raise ValueError("the file's graph is not one that training.export writes: export the network again")
