"""Writes model.json: `python describe.py`, after train.py, and eval.mjs with --json for both files."""
import hashlib
import json
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SCRATCH = Path(tempfile.gettempdir()) / "countersign-pocket"


def describe(key, name):
    """One model's entry: the file's digest, what the trainer noted, what llama.cpp measured."""
    data = (HERE / f"{name}.gguf").read_bytes()
    note = json.loads((SCRATCH / f"{key}.json").read_text())
    measured = json.loads((SCRATCH / f"{key}-evaluation.json").read_text())
    return {
        "name": name, "file": f"{name}.gguf", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
        "parameters": note["parameters"], "architecture": "llama", "quantisation": "F16", "contextLength": 512,
        "licence": {"weights": "CC0-1.0", "corpus": "CC0-1.0", "code": "Apache-2.0"}, "trained": "2026-11-21",
        "training": {k: note[k] for k in ("seed", "steps", "tokens", "finalLoss", "phases") if k in note},
        "evaluation": {
            "list": "evaluation.jsonl", "rule": "exact answer, temperature 0, llama.cpp",
            "right": measured["right"], "asked": measured["asked"],
            "accuracy": {c: round(r["right"] / r["asked"], 3) for c, r in measured["categories"].items()},
        },
    }


if __name__ == "__main__":
    described = {**describe("pocket", "countersign-pocket"), "variants": [describe("mini", "countersign-pocket-mini")]}
    (HERE / "model.json").write_text(json.dumps(described, indent=2) + "\n")
