from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, StringStringEntryProto, TensorProto, helper

from silk_ros.backends.model import int8_path
from silk_ros.backends.onnx_check import check_content, read_metadata
from silk_ros.paths import default_model

SHIPPED = default_model().read_bytes()
EXTERNAL = helper.make_model(
    helper.make_graph([], "", [], [], [TensorProto(data_location=TensorProto.EXTERNAL)])
).SerializeToString()


def bytes_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def graph_with(tensor: bytes) -> bytes:
    return bytes_field(7, bytes_field(5, tensor))


def test_the_shipped_models_pass() -> None:
    check_content(SHIPPED)
    check_content(int8_path(default_model()).read_bytes())


@pytest.mark.parametrize(
    "tensor",
    [
        varint(14 << 3) + b"\1",
        varint(14 << 3) + varint(1 + (1 << 32)),  # which a parser cuts to 32 bits
        b"\xf0\x80\x80\x80\x00\x01",  # the same field, its tag written with more bytes than it needs
        varint(14 << 3) + b"\1" + varint(14 << 3) + b"\0",  # said twice: the last counts, or so it should
        bytes_field(13, b""),
    ],
)
def test_external_data_are_found_however_they_are_written(tensor: bytes) -> None:
    with pytest.raises(ValueError, match="keeps tensors in other files"):
        check_content(graph_with(tensor))
    with pytest.raises(ValueError, match="keeps tensors in other files"):
        check_content(graph_with(b"") + graph_with(tensor))  # parsers merge the two graphs


def test_a_tag_that_parsers_would_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="no protobuf message"):
        check_content(graph_with(varint((1 << 32) + (14 << 3)) + b"\1"))


@pytest.mark.parametrize("domain", ["com.microsoft", "evil", "\n" * 1000])
def test_operators_of_vendors_are_refused(domain: str) -> None:
    """ONNX Runtime's EPContext, which carries a compiled engine or the path of one, is among them."""
    node = helper.make_node("EPContext", [], ["y"], domain=domain, ep_cache_context="../engine", embed_mode=0)
    with pytest.raises(ValueError, match="operators of the domain") as caught:
        check_content(helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString())
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_any_nesting_is_walked_in_one_pass() -> None:
    graph = bytes_field(5, varint(14 << 3) + b"\1")
    for _ in range(2000):  # graph in attribute in node
        graph = bytes_field(1, bytes_field(5, bytes_field(6, graph)))
    with pytest.raises(ValueError, match="keeps tensors in other files"):
        check_content(bytes_field(7, graph))


@pytest.mark.parametrize("length", [1, 100, 5000, len(SHIPPED) - 1])
def test_a_truncated_model_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="truncated"):
        check_content(SHIPPED[:length])


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=300)), max_size=5))
def test_metadata_are_those_that_a_parser_reads(entries: list[tuple[str, str]]) -> None:
    """The last of several entries of one name counts."""
    props = [StringStringEntryProto(key=key, value=value) for key, value in entries]
    content = ModelProto(metadata_props=props, doc_string="any").SerializeToString()
    assert read_metadata(content) == dict(entries)


def test_metadata_without_a_name_or_value_are_empty_and_must_be_text() -> None:
    entry = bytes_field(2, b"only a value") + varint(3 << 3) + b"\1"  # and a field that no version of ONNX has
    assert read_metadata(bytes_field(14, entry) + bytes_field(14, bytes_field(1, b"key"))) == {
        "": "only a value",
        "key": "",
    }
    with pytest.raises(ValueError, match="utf-8"):
        read_metadata(bytes_field(14, bytes_field(1, b"\xff")))


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_pass_or_are_a_value_error(content: bytes) -> None:
    passes(content)


@settings(max_examples=200)
@given(st.integers(0, len(SHIPPED)), st.binary(max_size=8), st.integers(0, 8))
def test_damaged_models_pass_or_are_a_value_error(position: int, inserted: bytes, dropped: int) -> None:
    passes(SHIPPED[:position] + inserted + SHIPPED[position + dropped :])


@settings(max_examples=500)
@given(st.integers(0, len(EXTERNAL)), st.binary(max_size=8), st.integers(0, 3))
def test_nothing_passes_that_a_parser_reads_as_external(position: int, inserted: bytes, dropped: int) -> None:
    content = EXTERNAL[:position] + inserted + EXTERNAL[position + dropped :]
    try:
        tensors = ModelProto.FromString(content).graph.initializer
    except DecodeError:
        return
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
        assert not passes(content)


def passes(content: bytes) -> bool:
    try:
        check_content(content)
        read_metadata(content)
    except ValueError as error:
        assert str(error)
        return False
    return True
