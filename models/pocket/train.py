"""Trains countersign-pocket and its mini twin on one CPU core with JAX, and writes GGUF.

`python train.py pocket|mini [minutes] [--resume]`; bfloat16 matrix products, float32 weights and sums.
"""
import json
import math
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gguf
from corpus import all_facts
from styles import Asker, conversation
from tokenizer import Tokenizer, learn

HERE = Path(__file__).parent
SCRATCH = Path(tempfile.gettempdir()) / "countersign-pocket"
SEED, VOCABULARY, ROW, ROWS, SPOTS = 20261121, 2048, 128, 24, 1344
SHAPES = {
    "pocket": {"width": 256, "layers": 5, "heads": 4, "hidden": 768, "context": 512},
    "mini": {"width": 128, "layers": 3, "heads": 2, "hidden": 384, "context": 512},
}
RATE = {"pocket": 0.012, "mini": 0.015}
DESCRIPTION = "A toy: a very small instruction model trained by the Countersign project on its own synthetic corpus."


def start(shape, key):
    """Fresh weights, named as in GGUF; matrices are (in, out), save embeddings and ffn_down."""
    width, hidden = shape["width"], shape["hidden"]
    weights = {"token_embd.weight": jax.random.normal(key, (VOCABULARY, width)) * 0.02, "output_norm.weight": jnp.ones(width)}
    for layer in range(shape["layers"]):
        for name, out, into in (("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width), ("attn_output", width, width),
                                ("ffn_gate", hidden, width), ("ffn_up", hidden, width), ("ffn_down", width, hidden)):
            key, sub = jax.random.split(key)
            scale = 0.5 / math.sqrt(into) * (0.3 if name in ("attn_output", "ffn_down") else 1)
            weights[f"blk.{layer}.{name}.weight"] = jax.random.normal(sub, (out, into) if name == "ffn_down" else (into, out)) * scale
        weights[f"blk.{layer}.attn_norm.weight"] = jnp.ones(width)
        weights[f"blk.{layer}.ffn_norm.weight"] = jnp.ones(width)
    return weights


def contract(pattern, a, b):
    """An einsum of bfloat16 operands with a float32 result: the only form that XLA gives to the AMX unit."""
    return jnp.einsum(pattern, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def turned(x):
    """xᵀ as a product with the identity: exact in bfloat16, and keeps XLA from folding it into a slow contraction."""
    return contract("ij,nj->in", jnp.eye(x.shape[1]), x)


@jax.custom_vjp
def widen(x, w):
    """x · w, w as (in, out) with in <= out: the gradient of w turns x, the narrow side."""
    return contract("ni,io->no", x, w)


widen.defvjp(lambda x, w: (widen(x, w), (x, w)),
             lambda kept, g: (contract("no,io->ni", g, kept[1]), contract("in,no->io", turned(kept[0]), g)))


@jax.custom_vjp
def narrow(x, w):
    """x · wᵀ, w as (out, in): used where the output is very wide."""
    return contract("ni,oi->no", x, w)


narrow.defvjp(lambda x, w: (narrow(x, w), (x, w)),
              lambda kept, g: (contract("no,oi->ni", g, kept[1]), contract("no,ni->oi", g, kept[0])))


def gate(h, up, other, down):
    """SwiGLU: silu(h·up) * (h·other), then · downᵀ; also what its gradient needs, in bfloat16."""
    h, a, b = (t.astype(jnp.bfloat16) for t in (h, contract("ni,io->no", h, up), contract("ni,io->no", h, other)))
    wide = a.astype(jnp.float32)
    s = (wide * (0.5 + 0.5 * jnp.tanh(0.5 * wide)) * b).astype(jnp.bfloat16)
    return contract("ni,oi->no", s, down), (h, a, b, s, up, other, down)


def gate_gradient(kept, g):
    h, a, b, s, up, other, down = kept
    ds, wide = contract("no,oi->ni", g, down), a.astype(jnp.float32)
    share = 0.5 + 0.5 * jnp.tanh(0.5 * wide)
    da = (ds * b * share * (1 + wide * (1 - share))).astype(jnp.bfloat16)
    db = (ds * wide * share).astype(jnp.bfloat16)
    flat = turned(h)
    return (contract("no,io->ni", da, up) + contract("no,io->ni", db, other),
            contract("in,no->io", flat, da), contract("in,no->io", flat, db), contract("on,ni->oi", turned(g), s))


gated = jax.custom_vjp(lambda h, up, other, down: gate(h, up, other, down)[0])
gated.defvjp(gate, gate_gradient)


@jax.custom_vjp
def scores(q, k):
    return contract("bhqd,bhkd->bhqk", q, k)


scores.defvjp(lambda q, k: (scores(q, k), (q, k)),
              lambda kept, g: (contract("bhqk,bhkd->bhqd", g, kept[1]), contract("bhqk,bhqd->bhkd", g, kept[0])))


@jax.custom_vjp
def blend(share, v):
    return contract("bhqk,bhkd->bhqd", share, v)


blend.defvjp(lambda share, v: (blend(share, v), (share, v)),
             lambda kept, g: (contract("bhqd,bhkd->bhqk", g, kept[1]), contract("bhqk,bhqd->bhkd", kept[0], g)))


def normalise(x, gain):
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * gain


def rotate(x, sin, cos):
    """RoPE on neighbouring pairs, as llama.cpp does for this architecture."""
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return jnp.stack((a * cos - b * sin, a * sin + b * cos), -1).reshape(x.shape)


def logits(weights, ids, segments, spots, shape):
    """ids, segments: (rows, length); a token attends within its own conversation only. Logits at `spots` of the flat rows."""
    rows, length = ids.shape
    heads, width = shape["heads"], shape["width"]
    each = width // heads
    angle = jnp.arange(length)[:, None] * 10000.0 ** (-jnp.arange(0, each, 2) / each)[None]
    sin, cos = jnp.sin(angle)[None, :, None], jnp.cos(angle)[None, :, None]
    allowed = (segments[:, :, None] == segments[:, None, :]) & jnp.tril(jnp.ones((length, length), bool))[None]
    x = weights["token_embd.weight"][ids].reshape(rows * length, width)
    for layer in range(shape["layers"]):
        w = lambda name: weights[f"blk.{layer}.{name}.weight"]
        h = normalise(x, w("attn_norm"))
        q, k, v = (widen(h, w(n)).reshape(rows, length, heads, each) for n in ("attn_q", "attn_k", "attn_v"))
        q, k, v = (t.transpose(0, 2, 1, 3) for t in (rotate(q, sin, cos), rotate(k, sin, cos), v))
        share = jax.nn.softmax(jnp.where(allowed[:, None], scores(q, k) / math.sqrt(each), -1e9), -1)
        mixed = blend(share, v).transpose(0, 2, 1, 3).reshape(rows * length, width)
        x = x + widen(mixed, w("attn_output"))
        h = normalise(x, w("ffn_norm"))
        x = x + gated(h, w("ffn_gate"), w("ffn_up"), w("ffn_down"))
    return narrow(normalise(x[spots], weights["output_norm.weight"]), weights["token_embd.weight"])


def loss_of(weights, ids, segments, spots, wanted, shape):
    """Mean cross-entropy over the assistant's tokens: `wanted` at `spots`, 0 where padded."""
    out = logits(weights, ids, segments, spots, shape)
    each = jax.nn.logsumexp(out, -1) - jnp.take_along_axis(out, wanted[:, None], 1)[:, 0]
    return jnp.sum(each * (wanted > 0)) / jnp.sum(wanted > 0)


def orthogonal(g):
    """Newton-Schulz step of Muon (Jordan 2024): the nearest matrix with all singular values near one."""
    tall = g.shape[0] > g.shape[1]
    x = g.T if tall else g
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = contract("ij,kj->ik", x, x)
        x = 3.4445 * x + contract("ij,jk->ik", -4.775 * square + 2.0315 * contract("ij,jk->ik", square, square), x)
    return x.T if tall else x


@partial(jax.jit, static_argnames="shape_name", donate_argnums=(0, 1))
def step(weights, state, ids, segments, spots, wanted, rate, count, shape_name):
    """One update: Muon for the matrices of the blocks, Adam for embeddings and gains."""
    loss, grads = jax.value_and_grad(loss_of)(weights, ids, segments, spots, wanted, SHAPES[shape_name])
    fresh, kept = {}, {}
    for name, w in weights.items():
        first, second = state[name]
        g = grads[name]
        if w.ndim == 2 and name.startswith("blk"):
            first = 0.95 * first + g
            fresh[name] = w * (1 - rate * 0.02) - rate * (w.shape[1] / w.shape[0] if w.shape[1] > w.shape[0] and "down" not in name else 1.0) ** 0.5 * orthogonal(g + 0.95 * first)
        else:
            first, second = 0.9 * first + 0.1 * g, 0.98 * second + 0.02 * g * g
            fresh[name] = w - rate * 0.3 * (first / (1 - 0.9**count)) / (jnp.sqrt(second / (1 - 0.98**count)) + 1e-8)
        kept[name] = (first, second)
    return fresh, kept, loss


def batches(tokenizer, seed):
    """Endless (ids, segments, spots, wanted) of ROWS rows; whole conversations packed first-fit."""
    rng, asker = random.Random(seed), Asker(all_facts())
    while True:
        rows = [([], [], []) for _ in range(ROWS)]
        misses = 0
        while misses < 30:
            ids, mask = tokenizer.chat(conversation(asker, rng, longest=4))
            home = next((r for r in rows if len(r[0]) + len(ids) <= ROW + 1), None)
            if home is None:
                misses += 1
                continue
            number = home[1][-1] + 1 if home[1] else 1
            home[0].extend(ids)
            home[1].extend([number] * len(ids))
            home[2].extend(mask)
        ids, segments, mask = (np.array([part + [0] * (ROW + 1 - len(part)) for part in column], np.int32) for column in zip(*rows))
        found = np.flatnonzero(mask[:, 1:])[:SPOTS]
        spots, wanted = np.zeros(SPOTS, np.int32), np.zeros(SPOTS, np.int32)
        spots[: len(found)], wanted[: len(found)] = found, ids[:, 1:].reshape(-1)[found]
        yield ids[:, :-1], segments[:, :-1], spots, wanted


def stored(name, w):
    """A weight in the orientation that GGUF wants: (out, in)."""
    return w.T if name.startswith("blk") and w.ndim == 2 and "ffn_down" not in name else w


def get_tokenizer():
    path = HERE / "tokenizer.json"
    if not path.exists():
        rng, asker = random.Random(SEED), Asker(all_facts())
        texts = [m["content"] for _ in range(40000) for m in conversation(asker, rng)] + ["system\n", "user\n", "assistant\n"] * 9
        Tokenizer(*learn(texts, VOCABULARY)).save(path)
    return Tokenizer.load(path)


def main(name, minutes, resume):
    SCRATCH.mkdir(exist_ok=True)
    tokenizer, shape = get_tokenizer(), SHAPES[name]
    weights = start(shape, jax.random.PRNGKey(SEED))
    state = {k: (jnp.zeros_like(w), jnp.zeros_like(w)) for k, w in weights.items()}
    if resume:
        weights = {k: jnp.asarray(w) for k, w in np.load(SCRATCH / f"{name}.npz").items()}
    stream, count, losses, began, rate, total = batches(tokenizer, SEED + resume), 0, [], time.time(), 0.0, None
    saved = began
    while total is None or count < total:
        batch = next(stream)
        if total is None and count == 30:
            began = time.time()
        if total is None and count == 60:
            total = 60 + int(minutes * 60 / ((time.time() - began) / 30))
            print("steps planned:", total, flush=True)
        progress = count / (total or 1e9)
        left = 0.02 + 0.98 * (1 - progress)
        planned = 0.6 * left if resume else 1 if progress < 0.4 else min(1, left / 0.6)
        rate = RATE[name] * min(1, (count + 1) / 60) * planned
        count += 1
        weights, state, loss = step(weights, state, *batch, jnp.float32(rate), jnp.float32(count), name)
        losses.append(float(loss))
        if count % 50 == 0:
            print(count, "loss %.4f" % np.mean(losses[-50:]), "%.0f tokens/s" % (ROWS * ROW * count / (time.time() - began)), flush=True)
        if time.time() - saved > 240 or count == total:
            saved = time.time()
            parameters = gguf.write(SCRATCH / f"{name}.gguf", "countersign-" + ("pocket" if name == "pocket" else "pocket-mini"), shape, tokenizer,
                                    {k: stored(k, np.asarray(w)) for k, w in weights.items()}, DESCRIPTION)
            np.savez(SCRATCH / f"{name}.npz", **{k: np.asarray(w) for k, w in weights.items()})
            (SCRATCH / f"{name}.json").write_text(json.dumps({
                "parameters": parameters, "steps": count, "seed": SEED, "tokens": ROWS * ROW * count, "finalLoss": round(float(np.mean(losses[-50:])), 4)}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), "--resume" in sys.argv)
