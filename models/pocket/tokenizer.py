"""A SentencePiece-style BPE with byte fallback: learned here, encoded by llama.cpp's own rule.

llama.cpp ("llama" tokenizer) merges, in the whole text, the neighbouring pair whose concatenation is
a piece with the highest score, leftmost first. `encode` does exactly that, so ids agree by construction
and eval.mjs checks that they do. Digits are never merged; a space is the character U+2581.
"""
import json
import re
from collections import Counter
from functools import lru_cache

SPACE = "\u2581"
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
UNK, END_OF_TEXT, IM_START, IM_END = 0, 1, 2, 3
FIRST_BYTE = 4
FIRST_PIECE = FIRST_BYTE + 256
WORD = re.compile(f"{SPACE}?[^\\W\\d_]+|{SPACE}?[^\\w{SPACE}]|.", re.DOTALL)


def learn(texts, size):
    """Pieces in the order of their merging: characters first, then merges, up to `size` ids in all."""
    words = Counter()
    for text in texts:
        words.update(WORD.findall(text.replace(" ", SPACE)))
    characters = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    del characters["\n"]
    alphabet = sorted(characters, key=lambda c: (-characters[c], c))
    split = {word: list(word) for word in words}
    pieces, known = [], set(alphabet)
    while FIRST_PIECE + len(alphabet) + len(pieces) < size:
        pairs = Counter()
        for word, parts in split.items():
            count = words[word]
            for pair in zip(parts, parts[1:]):
                pairs[pair] += count
        for (a, b), _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:8]:
            piece = a + b
            if piece in known or FIRST_PIECE + len(alphabet) + len(pieces) >= size:
                continue
            known.add(piece)
            pieces.append(piece)
            for word, parts in split.items():
                if piece in word:
                    i = 0
                    while i < len(parts) - 1:
                        if parts[i] + parts[i + 1] == piece:
                            parts[i:i + 2] = [piece]
                        i += 1
    return alphabet + pieces, len(alphabet)


class Tokenizer:
    def __init__(self, pieces, characters):
        self.pieces, self.characters = pieces, characters
        self.tokens = ["<unk>", *CONTROL, *(f"<0x{b:02X}>" for b in range(256)), *pieces]
        self.scores = [0.0] * FIRST_PIECE + [-float(i) for i in range(len(pieces))]
        # Merged pieces rank above single characters; among themselves the earlier merge wins.
        for i in range(characters):
            self.scores[FIRST_PIECE + i] = -1e6 - i
        self.types = [2, 3, 3, 3] + [6] * 256 + [1] * len(pieces)
        self.ids = {piece: FIRST_PIECE + i for i, piece in enumerate(pieces)}
        self._encode_chunk = lru_cache(maxsize=1 << 16)(self._merge)

    @classmethod
    def load(cls, path):
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(stored["pieces"], stored["characters"])

    def save(self, path):
        path.write_text(json.dumps({"characters": self.characters, "pieces": self.pieces}, ensure_ascii=False), encoding="utf-8")

    def _merge(self, chunk):
        parts = list(chunk)
        while True:
            best = None
            for i in range(len(parts) - 1):
                found = self.ids.get(parts[i] + parts[i + 1])
                if found is not None and (best is None or self.scores[found] > best[0]):
                    best = (self.scores[found], i)
            if best is None:
                break
            parts[best[1]:best[1] + 2] = [parts[best[1]] + parts[best[1] + 1]]
        ids = []
        for part in parts:
            if part in self.ids:
                ids.append(self.ids[part])
            else:
                ids += [FIRST_BYTE + b for b in part.encode("utf-8")]
        return tuple(ids)

    def encode(self, text):
        """Ids of plain text. No piece holds a space except as its first character, so chunks are independent."""
        ids = []
        for chunk in re.findall(f"{SPACE}?[^{SPACE}]+|{SPACE}", text.replace(" ", SPACE)):
            ids += self._encode_chunk(chunk)
        return ids

    def decode(self, ids):
        data = b""
        for i in ids:
            data += bytes([i - FIRST_BYTE]) if FIRST_BYTE <= i < FIRST_PIECE else b"" if i < FIRST_BYTE else self.tokens[i].replace(SPACE, " ").encode()
        return data.decode("utf-8", "replace")

    def chat(self, messages, answer=False):
        """(ids, mask) of a conversation in the model's template; mask is 1 where the assistant speaks."""
        ids, mask = [], []
        for message in messages:
            head = [IM_START, *self.encode(message["role"] + "\n")]
            body = [*self.encode(message["content"]), IM_END]
            spoken = message["role"] == "assistant"
            tail = self.encode("\n")
            ids += head + body + tail
            mask += [0] * len(head) + [int(spoken)] * len(body) + [0] * len(tail)
        if answer:
            ids += [IM_START, *self.encode("assistant\n")]
        return ids, mask
