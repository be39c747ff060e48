import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextStream } from "./text-stream.ts";

// A token is a byte: the hardest case for characters of several bytes.
const bytesAsTokens = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));
const feed = (text: string, stop: readonly string[] = []) => {
  const stream = new TextStream(bytesAsTokens, stop);
  const pieces = [...new TextEncoder().encode(text)].map((b) => stream.add(b));
  pieces.push(stream.end());
  return { stream, pieces: pieces.filter((p) => p !== "") };
};

describe("text in pieces", () => {
  it("never breaks a character", () => {
    const { pieces } = feed("né 🎉 end");
    expect(pieces.join("")).toBe("né 🎉 end");
    expect(pieces).toContain("🎉");
    expect(pieces.join("")).not.toContain("\ufffd");
  });

  it("gives all of the text, whatever it is, when nothing stops it", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }).filter((t) => t.isWellFormed() && !t.includes("\ufffd")),
        (text) => {
          const { pieces, stream } = feed(text);
          expect(pieces.join("")).toBe(text);
          expect(stream.text).toBe(text);
        },
      ),
    );
  });

  it("shows nothing of a stop text, nor what comes after it", () => {
    const { pieces, stream } = feed("one two STOP three", ["STOP"]);
    expect(pieces.join("")).toBe("one two ");
    expect(stream.stopped).toBe(true);
    for (const p of pieces) expect(p).not.toContain("S");
  });

  it("shows the beginning of a stop text that turns out to be none", () => {
    expect(feed("a STO b", ["STOP"]).pieces.join("")).toBe("a STO b");
    expect(feed("a STO", ["STOP"]).pieces.join("")).toBe("a STO");
  });

  it("stops at the first of several, in every text", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 }), (letters) => {
        const text = letters.join("");
        const cut = ["abc", "ca"].map((s) => text.indexOf(s)).filter((i) => i >= 0);
        expect(feed(text, ["abc", "ca"]).pieces.join("")).toBe(cut.length > 0 ? firstCut(text) : text);
      }),
    );
  });

  it("gives broken bytes at the end rather than losing them", () => {
    const stream = new TextStream(bytesAsTokens, []);
    expect(stream.add(0xf0)).toBe("");
    expect(stream.end()).toBe("\ufffd");
  });
});

// What a reader of single bytes sees first: the stop text that ends first.
function firstCut(text: string): string {
  for (let end = 1; end <= text.length; end++) {
    const hits = ["abc", "ca"].map((s) => text.slice(0, end).indexOf(s)).filter((i) => i >= 0);
    if (hits.length > 0) return text.slice(0, Math.min(...hits));
  }
  return text;
}
