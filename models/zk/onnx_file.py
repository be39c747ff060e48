"""Writes small ONNX files (IR version 8, opset 17) byte for byte the same from the same weights."""

import struct

import numpy as np


def _varint(n):
    out = bytearray()
    while True:
        low, n = n & 0x7F, n >> 7
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def _int(field, n):
    return _varint(field << 3) + _varint(n & (2**64 - 1))


def _bytes(field, value):
    value = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _attribute(name, value):
    if isinstance(value, float):
        return _bytes(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _int(20, 1)
    if isinstance(value, list):
        return _bytes(1, name) + b"".join(_int(8, v) for v in value) + _int(20, 7)
    return _bytes(1, name) + _int(3, value) + _int(20, 2)


def _node(op, inputs, outputs, attributes=None):
    body = b"".join(_bytes(1, i) for i in inputs) + b"".join(_bytes(2, o) for o in outputs) + _bytes(4, op)
    return body + b"".join(_bytes(5, _attribute(k, v)) for k, v in (attributes or {}).items())


def _tensor(name, array):
    kinds = {"float32": 1, "int8": 3, "int64": 7}
    array = np.ascontiguousarray(array)
    dims = b"".join(_int(1, d) for d in array.shape)
    return dims + _int(2, kinds[str(array.dtype)]) + _bytes(8, name) + _bytes(9, array.tobytes())


def _value(name, dims):
    shape = b"".join(_bytes(1, _bytes(2, d) if isinstance(d, str) else _int(1, d)) for d in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, 1) + _bytes(2, shape)))


def write(path, name, nodes, weights, inputs, outputs):
    """nodes: (op, inputs, outputs[, attributes]); weights: {name: array}; inputs, outputs: {name: dims}."""
    graph = b"".join(_bytes(1, _node(*n)) for n in nodes) + _bytes(2, name)
    graph += b"".join(_bytes(5, _tensor(k, v)) for k, v in weights.items())
    graph += b"".join(_bytes(11, _value(k, v)) for k, v in inputs.items())
    graph += b"".join(_bytes(12, _value(k, v)) for k, v in outputs.items())
    model = _int(1, 8) + _bytes(2, "countersign") + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _int(2, 17))
    with open(path, "wb") as f:
        f.write(model)
