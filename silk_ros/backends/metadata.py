"""What an exported file says of itself, without running it."""

from __future__ import annotations

from pathlib import Path

from .base import BackendUnavailable
from .model import model_file, read_model, unusable

try:
    import onnxruntime
except ImportError as error:
    raise BackendUnavailable("reading a model file's metadata needs ONNX Runtime: pip install onnxruntime") from error


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of an ONNX file, empty where it has none.

    Raises FileNotFoundError or ValueError, naming the fix, for a file that is missing or no ONNX file.
    """
    content = read_model(model_file(file, "fp32"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")  # what was checked, and no other
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise unusable(file, error) from error
    return dict(session.get_modelmeta().custom_metadata_map)
