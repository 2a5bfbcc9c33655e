"""Weights of an ONNX graph stored in fewer bytes. All is computed in float32 as before: a runtime widens the weights
once, when it loads the graph, since a CPU has no fast kernels for half precision."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALL = 64
"""Numbers of a tensor that stays as it is: scales, biases of few channels, constants."""
INT8_AT_LEAST = 4096
"""Numbers of a tensor that is stored in 8 bits; smaller ones are stored in 16."""


def store(proto: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy of a graph whose float32 weights are stored in a precision.

    float16 rounds to nearest. int8 stores matrices and convolutions in 8 bits, from -127 to 127, with one scale for
    each channel of the axis that loses least; all other weights as float16.

    Raises:
        ValueError: there is no such precision, or a weight is too large for float16.
    """
    if precision not in ("float32", "float16", "int8"):
        raise ValueError(f"no precision {precision!r}; there are: float32, float16, int8")
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    if precision == "float32":
        return other
    kept, widened = [], []
    for tensor in other.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            kept.append(tensor)
        elif precision == "int8" and values.ndim >= 2 and values.size >= INT8_AT_LEAST:
            stored, scale = quantized(values)
            kept += [_named(stored, f"{tensor.name}_int8"), _named(scale, f"{tensor.name}_scale")]
            widened += [
                helper.make_node("Cast", [f"{tensor.name}_int8"], [f"{tensor.name}_wide"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{tensor.name}_wide", f"{tensor.name}_scale"], [tensor.name]),
            ]
        else:
            if np.abs(values).max() > np.finfo(np.float16).max:
                raise ValueError(f"{tensor.name}: a weight is too large for float16; store it in float32")
            kept.append(_named(values.astype(np.float16), f"{tensor.name}_float16"))
            widened.append(helper.make_node("Cast", [f"{tensor.name}_float16"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*widened, *other.graph.node]
    del other.graph.initializer[:], other.graph.node[:]
    other.graph.initializer.extend(kept)
    other.graph.node.extend(nodes)
    onnx.checker.check_model(other)
    return other


def quantized(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights as int8 and scales that give them back, values ~ stored * scale; scales have one axis that is not 1."""
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for axis in range(values.ndim):
        others = tuple(a for a in range(values.ndim) if a != axis)
        scale = np.abs(values).max(axis=others, keepdims=True) / np.float32(127)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        stored = np.rint(values / scale).astype(np.int8)
        lost = float(np.square(values - stored * scale).sum())
        if best is None or lost < best[0]:
            best = lost, stored, scale
    assert best is not None
    return best[1], best[2]


def _named(values: np.ndarray, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)
