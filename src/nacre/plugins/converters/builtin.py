"""The converters that come with Nacre; their programs are in ``nacre.workloads``."""

from __future__ import annotations

from nacre.ports.converters import Converter

_CHECK = ("onnxruntime", "numpy")

PYTORCH = Converter(
    "pytorch",
    (".pt", ".pth", ".pt2"),
    "nacre.workloads.convert_pytorch",
    ("onnx", "onnxscript", *_CHECK),
    "pytorch",
)
KERAS = Converter(
    "keras", (".keras", ".h5"), "nacre.workloads.convert_keras", ("tf2onnx", "onnx", *_CHECK), "keras"
)
TENSORFLOW = Converter(
    "tensorflow", (), "nacre.workloads.convert_keras", ("tf2onnx", "onnx", *_CHECK), "tensorflow"
)
SKLEARN = Converter(
    "sklearn",
    (".joblib", ".pkl", ".pickle", ".skops"),
    "nacre.workloads.convert_sklearn",
    ("skl2onnx", "joblib", *_CHECK),
    "sklearn",
)
ONNX = Converter("onnx", (".onnx",), "nacre.workloads.convert_onnx", ("onnx", *_CHECK), "sklearn")
