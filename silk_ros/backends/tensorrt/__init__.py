"""TensorRT: engines built from the ONNX file, checked, kept on disk and run on an NVIDIA GPU."""
