"""Writes a Llama-architecture GGUF (version 3): metadata, then f16 or f32 tensors aligned to 32 bytes."""
import struct

import numpy as np

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def text(value):
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value, of=None):
    head = text(key) + struct.pack("<I", kind)
    if kind == ARRAY:
        body = b"".join(text(v) for v in value) if of == STRING else struct.pack(f"<{len(value)}{'f' if of == F32 else 'i'}", *value)
        return head + struct.pack("<IQ", of, len(value)) + body
    return head + (text(value) if kind == STRING else struct.pack({U32: "<I", F32: "<f", BOOL: "<?"}[kind], value))


def write(path, name, shape, tokenizer, tensors, description):
    """tensors: {name: float32 array}; matrices are stored as f16, vectors as f32. shape: the keys of train.SHAPES."""
    fields = [
        entry("general.architecture", STRING, "llama"), entry("general.name", STRING, name),
        entry("general.license", STRING, "cc0-1.0"), entry("general.description", STRING, description),
        entry("general.file_type", U32, 1), entry("general.alignment", U32, 32),
        entry("llama.context_length", U32, shape["context"]), entry("llama.embedding_length", U32, shape["width"]),
        entry("llama.block_count", U32, shape["layers"]), entry("llama.feed_forward_length", U32, shape["hidden"]),
        entry("llama.attention.head_count", U32, shape["heads"]), entry("llama.attention.head_count_kv", U32, shape["heads"]),
        entry("llama.rope.dimension_count", U32, shape["width"] // shape["heads"]), entry("llama.rope.freq_base", F32, 10000.0),
        entry("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), entry("llama.vocab_size", U32, len(tokenizer.tokens)),
        entry("tokenizer.ggml.model", STRING, "llama"), entry("tokenizer.ggml.pre", STRING, "default"),
        entry("tokenizer.ggml.tokens", ARRAY, tokenizer.tokens, STRING), entry("tokenizer.ggml.scores", ARRAY, tokenizer.scores, F32),
        entry("tokenizer.ggml.token_type", ARRAY, tokenizer.types, I32), entry("tokenizer.ggml.unknown_token_id", U32, 0),
        entry("tokenizer.ggml.bos_token_id", U32, 1), entry("tokenizer.ggml.eos_token_id", U32, 3), entry("tokenizer.ggml.eot_token_id", U32, 3),
        entry("tokenizer.ggml.add_bos_token", BOOL, False), entry("tokenizer.ggml.add_eos_token", BOOL, False),
        entry("tokenizer.ggml.add_space_prefix", BOOL, False), entry("tokenizer.chat_template", STRING, TEMPLATE),
    ]
    infos, blobs, offset = b"", [], 0
    for key, value in tensors.items():
        data = value.astype("<f2" if value.ndim > 1 else "<f4").tobytes()
        infos += text(key) + struct.pack(f"<I{value.ndim}QIQ", value.ndim, *reversed(value.shape), 1 if value.ndim > 1 else 0, offset)
        data += bytes(-len(data) % 32)
        blobs.append(data)
        offset += len(data)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + b"".join(blobs))
    return int(sum(np.prod(v.shape) for v in tensors.values()))
