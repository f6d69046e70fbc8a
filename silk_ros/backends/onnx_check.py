"""Checks and metadata of an ONNX model, read from its bytes before any runtime parses them.

An ONNX file is one protobuf message. A tensor may name another file that holds its values, and a node of a vendor's
domain may carry a compiled engine or name one: a runtime would open and run these. Models with either are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

# Messages of onnx.proto that lead to tensors and nodes: field number to kind of message.
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
NODE_DOMAIN = 7
STANDARD_DOMAINS = (b"", b"ai.onnx")
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of a tensor
METADATA_PROPS = 14  # field of the model, with the entries' fields
ENTRY_KEY, ENTRY_VALUE = 1, 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | tuple[int, int]  # a varint; or start and end of bytes


def check_content(content: bytes) -> None:
    """Raise ValueError, naming the fix, unless this is a model of ONNX's own operators with all tensors in these bytes.

    Whether the operators form a sensible network is left to the runtime.
    """
    messages = [("model", 0, len(content))]  # a stack: messages may nest deeper than Python's recursion limit
    while messages:
        kind, start, end = messages.pop()
        for field, value in _fields(content, start, end):
            if isinstance(value, tuple) and field in MESSAGES[kind]:
                messages.append((MESSAGES[kind][field], *value))
            elif kind == "tensor" and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value != 0)):
                raise ValueError(
                    "it keeps tensors in other files: save it as one, onnx.save_model(..., save_as_external_data=False)"
                )
            elif kind == "node" and field == NODE_DOMAIN and isinstance(value, tuple):
                domain = content[slice(*value)]
                if domain not in STANDARD_DOMAINS:
                    raise ValueError(f"it has operators of the domain {domain[:80]!r}: use those of ONNX itself")


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata_props of a model. Raises ValueError if the bytes are no message, or an entry is not UTF-8."""
    found: dict[str, str] = {}
    for field, value in _fields(content, 0, len(content)):
        if field == METADATA_PROPS and isinstance(value, tuple):
            entry = {ENTRY_KEY: b"", ENTRY_VALUE: b""}
            entry |= {part: content[slice(*at)] for part, at in _fields(content, *value) if isinstance(at, tuple)}
            found[entry[ENTRY_KEY].decode()] = entry[ENTRY_VALUE].decode()
    return found


def _fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message. Raises ValueError for bytes that are no message."""
    while position < end:
        tag, position = _varint(content, position, end)
        field, wire = tag >> 3, tag & 7
        # Parsers truncate a longer tag to 32 bits and would read another field.
        if not field or tag >= 1 << 32:
            raise ValueError("it is no protobuf message")
        if wire == VARINT:
            value, position = _varint(content, position, end)
            yield field, value
            continue
        if wire == BYTES:
            length, position = _varint(content, position, end)
        else:
            length = {FIXED64: 8, FIXED32: 4}.get(wire, end)  # ONNX has no groups
        if length > end - position:
            raise ValueError("it is no protobuf message, or a truncated one")
        yield field, (position, position + length)
        position += length


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of at most 64 bits, in groups of 7 bits with the lowest first, and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("it is no protobuf message, or a truncated one")
