"""Trains a small convolutional digit classifier (about 267,000 parameters) on MNIST and writes digits-cnn.onnx.

Run it as digits/train.py says. Training sees the 60,000 training images alone; the test images are read once, at the end.
"""

import pathlib
import sys

import numpy as np

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent))
sys.path.insert(0, str(here.parent / "digits"))
import onnx_file  # noqa: E402
from train import load, warp  # noqa: E402

epochs, batch, rate, decay = 14, 128, 2e-3, 1e-4


def columns(x, k):
    """Patches of k by k as rows: (n, height, width, channels * k * k)."""
    n, c, h, w = x.shape
    win = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    return np.ascontiguousarray(win.transpose(0, 2, 3, 1, 4, 5)).reshape(n, h - k + 1, w - k + 1, c * k * k)


def pool(x):
    """2 by 2 maximum of (n, h, w, c), and where it came from (the first of equals)."""
    n, h, w, c = x.shape
    parts = np.stack([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    at = parts.argmax(0)
    return np.take_along_axis(parts, at[None], 0)[0], at


def unpool(d, at):
    n, h, w, c = d.shape
    out = np.zeros((n, 2 * h, 2 * w, c), np.float32)
    for q, (i, j) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        out[:, i::2, j::2] = d * (at == q)
    return out


def forward(p, x):
    k1, b1, k2, b2, w3, b3, w4, b4, w5, b5 = p
    c1 = columns(np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))), 5)
    m1, at1 = pool(np.maximum(c1 @ k1.reshape(8, -1).T + b1, 0))
    c2 = columns(m1.transpose(0, 3, 1, 2), 5)
    m2, at2 = pool(np.maximum(c2 @ k2.reshape(16, -1).T + b2, 0))
    f = np.ascontiguousarray(m2.transpose(0, 3, 1, 2)).reshape(len(x), 400)
    h3 = np.maximum(f @ w3.T + b3, 0)
    h4 = np.maximum(h3 @ w4.T + b4, 0)
    return h4 @ w5.T + b5, (c1, m1, at1, c2, m2, at2, f, h3, h4)


def backward(p, d, kept):
    k1, b1, k2, b2, w3, b3, w4, b4, w5, b5 = p
    c1, m1, at1, c2, m2, at2, f, h3, h4 = kept
    n = len(d)
    g5 = (d.T @ h4, d.sum(0))
    d = (d @ w5) * (h4 > 0)
    g4 = (d.T @ h3, d.sum(0))
    d = (d @ w4) * (h3 > 0)
    g3 = (d.T @ f, d.sum(0))
    d = (d @ w3).reshape(n, 16, 5, 5).transpose(0, 2, 3, 1)
    d = unpool(d * (m2 > 0), at2).reshape(-1, 16)
    g2 = ((d.T @ c2.reshape(-1, 200)).reshape(16, 8, 5, 5), d.sum(0))
    back = (d @ k2.reshape(16, 200)).reshape(n, 10, 10, 8, 5, 5)
    d1 = np.zeros((n, 14, 14, 8), np.float32)
    for i in range(5):
        for j in range(5):
            d1[:, i : i + 10, j : j + 10] += back[:, :, :, :, i, j]
    d = unpool(d1 * (m1 > 0), at1).reshape(-1, 8)
    g1 = ((d.T @ c1.reshape(-1, 25)).reshape(8, 1, 5, 5), d.sum(0))
    return [*g1, *g2, *g3, *g4, *g5]


def train(x, y, rng):
    init = lambda *s: (rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:]))).astype(np.float32)  # noqa: E731
    zero = lambda n: np.zeros(n, np.float32)  # noqa: E731
    p = [init(8, 1, 5, 5), zero(8), init(16, 8, 5, 5), zero(16), init(496, 400), zero(496), init(128, 496), zero(128), init(10, 128), zero(10)]
    m, v = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    mean = [q.copy() for q in p]
    steps, step = epochs * (len(x) // batch), 0
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for k in range(0, len(x) - batch + 1, batch):
            at = order[k : k + batch]
            z, kept = forward(p, warp(x[at], rng)[:, None].astype(np.float32))
            e = np.exp(z - z.max(1, keepdims=True))
            d = e / e.sum(1, keepdims=True)
            d[np.arange(batch), y[at]] -= 1
            step += 1
            lr = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for i, g in enumerate(backward(p, (d / batch).astype(np.float32), kept)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                update = m[i] / (1 - 0.9**step) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-8)
                p[i] = (p[i] - lr * (update + (decay * p[i] if i % 2 == 0 else 0))).astype(np.float32)
                mean[i] += 0.003 * (p[i] - mean[i])
        print(f"epoch {epoch + 1}", flush=True)
    return mean


def score(p, x, y):
    right = [(forward(p, x[k : k + 500, None])[0].argmax(1) == y[k : k + 500]).sum() for k in range(0, len(x), 500)]
    return float(np.sum(right) / len(x))


if __name__ == "__main__":
    x, y = load(sys.argv[1], "train")
    p = train(x, y, np.random.default_rng(1))
    p = [np.where(np.abs(q) < 1e-12, 0, q).astype(np.float32) for q in p]
    names = ["k1", "c1", "k2", "c2", "w3", "b3", "w4", "b4", "w5", "b5"]
    small = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        ("Conv", ["image", "k1", "c1"], ["z1"], {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2], "strides": [1, 1]}),
        ("Relu", ["z1"], ["h1"]),
        ("MaxPool", ["h1"], ["m1"], small),
        ("Conv", ["m1", "k2", "c2"], ["z2"], {"kernel_shape": [5, 5], "pads": [0, 0, 0, 0], "strides": [1, 1]}),
        ("Relu", ["z2"], ["h2"]),
        ("MaxPool", ["h2"], ["m2"], small),
        ("Flatten", ["m2"], ["f"], {"axis": 1}),
        ("Gemm", ["f", "w3", "b3"], ["z3"], {"transB": 1}),
        ("Relu", ["z3"], ["h3"]),
        ("Gemm", ["h3", "w4", "b4"], ["z4"], {"transB": 1}),
        ("Relu", ["z4"], ["h4"]),
        ("Gemm", ["h4", "w5", "b5"], ["logits"], {"transB": 1}),
    ]
    onnx_file.write(here / "digits-cnn.onnx", "digits-cnn", nodes, dict(zip(names, p)), {"image": ["batch", 1, 28, 28]}, {"logits": ["batch", 10]})
    xt, yt = load(sys.argv[1], "t10k")
    print("float accuracy: training", score(p, x, y), "held out", score(p, xt, yt), "parameters", sum(q.size for q in p))
