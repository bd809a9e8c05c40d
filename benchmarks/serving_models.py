"""The ONNX models of serving.py, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZES = (784, 128, 10)
SIDE = 64
"""Pixels a side of ResNet's images."""


def save(path: Path, nodes: list[Any], inputs: Any, outputs: Any, weights: list[Any]) -> Path:
    graph = helper.make_graph(nodes, "g", [inputs], [outputs], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def tensor(name: str, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def mlp(path: Path, sizes: tuple[int, int, int] = SIZES, seed: int = 0) -> Path:
    """Dense, relu, dense, softmax: ``x`` [n, a] to ``y`` [n, c]."""
    rng = np.random.default_rng(seed)
    a, b, c = sizes
    shapes = (("w1", (a, b)), ("b1", b), ("w2", (b, c)), ("b2", c))
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.05, shape).astype("f4"), name) for name, shape in shapes
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    return save(path, nodes, tensor("x", ["n", a]), tensor("y", ["n", c]), weights)


class Net:
    """Nodes and weights of a convolutional network, as it grows."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        scale = float(np.sqrt(2 / np.prod(shape[1:]))) if len(shape) > 1 else 0.01
        self.weights.append(numpy_helper.from_array(self.rng.normal(0, scale, shape).astype("f4"), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x: str, given: int, made: int, size: int, stride: int) -> str:
        pads = [size // 2] * 4
        inputs = [x, self.weight(made, given, size, size), self.weight(made)]
        return self.node("Conv", inputs, kernel_shape=[size, size], strides=[stride, stride], pads=pads)

    def block(self, x: str, given: int, made: int, stride: int) -> str:
        inner = self.node("Relu", [self.conv(x, given, made, 3, stride)])
        inner = self.conv(inner, made, made, 3, 1)
        if stride > 1:
            x = self.conv(x, given, made, 1, stride)
        return self.node("Relu", [self.node("Add", [inner, x])])


def resnet(path: Path) -> Path:
    """ResNet-18, batch normalisation folded in: ``x`` [n, 3, 64, 64] to ``y`` [n, 1000]."""
    net = Net()
    x = net.node("Relu", [net.conv("x", 3, 64, 7, 2)])
    x = net.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for given, made in ((64, 64), (64, 128), (128, 256), (256, 512)):
        x = net.block(x, given, made, 1 if given == made else 2)
        x = net.block(x, made, made, 1)
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
    net.nodes.append(helper.make_node("Gemm", [x, net.weight(512, 1000), net.weight(1000)], ["y"]))
    return save(path, net.nodes, tensor("x", ["n", 3, SIDE, SIDE]), tensor("y", ["n", 1000]), net.weights)
