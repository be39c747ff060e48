import { portableSuite, toHex, utf8 } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { cosign } from "./cosignature.ts";
import { checkNote, formatNote, mergeNotes, parseNote, signNote } from "./note.ts";
import { hashLeaf } from "./tree.ts";
import { formatVkey, parseVkey, verifierKey } from "./vkey.ts";

// The example of C2SP signed-note v1.0.0, with its key.
const example =
  "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const exampleKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
// The example of C2SP tlog-cosignature, whose keys the document does not give.
const cosigned = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;

const seed = (n: number) => new Uint8Array(32).fill(n);
const log = { name: "log.example", signer: ed25519Signer(seed(1)) };
const logKey = verifierKey(log.name, "note", log.signer.publicKey);
const witness = { name: "w.example", signer: ed25519Signer(seed(2)) };
const witnessKey = verifierKey(witness.name, "cosignature", witness.signer.publicKey);
const suite = portableSuite;
const text = formatCheckpoint({ origin: log.name, size: 3, root: hashLeaf(utf8("x")) });

describe("signed note", () => {
  it("reads and checks the specification's example", () => {
    const key = parseVkey(exampleKey);
    expect(formatVkey(key)).toBe(exampleKey);
    const note = parseNote(example);
    expect(formatNote(note)).toBe(example);
    expect(checkNote({ note, keys: [key], suite })).toEqual({ status: "ok", signedBy: [{ key }] });
    const changed = parseNote(example.replace("This", "Thus"));
    expect(checkNote({ note: changed, keys: [key], suite }).status).toBe("failed");
  });

  it("reads the specification's cosigned checkpoint", () => {
    const note = parseNote(cosigned);
    expect(parseCheckpoint(note.text).size).toBe(20852163);
    expect(note.signatures.map(({ name, bytes }) => [name, bytes.length])).toEqual([
      ["example.com/behind-the-sofa", 64],
      ["witness.example.com/w1", 72],
    ]);
    expect(formatNote(note)).toBe(cosigned);
  });

  it("ignores unknown keys, also those that share a name or an id with a known one", () => {
    const stranger = { name: log.name, signer: ed25519Signer(seed(9)) };
    const renamed = { name: "other.example", signer: log.signer };
    const note = parseNote(signNote(text, stranger, renamed, log));
    expect(checkNote({ note, keys: [logKey], suite })).toEqual({ status: "ok", signedBy: [{ key: logKey }] });
    const without = parseNote(signNote(text, stranger, renamed));
    expect(checkNote({ note: without, keys: [logKey], suite })).toMatchObject({ code: "CHECKPOINT_SIGNATURE_INVALID" });
  });

  it("rejects the whole note when one known key's signature fails", () => {
    const note = parseNote(signNote(text, log));
    const bad = cosign(text, 1_700_000_000, witness);
    const broken = { ...note, signatures: [...note.signatures, { ...bad, bytes: bad.bytes.map((b) => b ^ 1) }] };
    expect(checkNote({ note: broken, keys: [logKey, witnessKey], suite }).status).toBe("failed");
    expect(checkNote({ note: broken, keys: [logKey], suite }).status).toBe("ok");
  });

  it("takes 16 and more signatures, and the earliest time of one cosigner", () => {
    const note = parseNote(signNote(text, log));
    const many = Array.from({ length: 20 }, (_, i) => cosign(text, 2000 - i, witness));
    const full = parseNote(formatNote({ text, signatures: [...note.signatures, ...many] }));
    expect(checkNote({ note: full, keys: [logKey, witnessKey], suite })).toMatchObject({
      status: "ok",
      signedBy: [{ key: logKey }, { key: witnessKey, time: 1981 }],
    });
  });

  it("gives a cosignature no life outside its text, time, name and kind", () => {
    const other = formatCheckpoint({ origin: log.name, size: 4, root: hashLeaf(utf8("x")) });
    const line = cosign(text, 5, witness);
    const at = (note: string, bytes: Uint8Array) =>
      checkNote({ note: { text: note, signatures: [{ ...line, bytes }] }, keys: [witnessKey], suite }).status;
    expect(at(text, line.bytes)).toBe("ok");
    expect(at(other, line.bytes)).toBe("failed");
    expect(at(text, line.bytes.with(7, 6))).toBe("failed");
    expect(at(text, line.bytes.subarray(8))).toBe("failed");
    // The same key as a note key has another id, so its cosignature is no note signature.
    const asNote = verifierKey(witness.name, "note", witness.signer.publicKey);
    expect(asNote.id).not.toBe(witnessKey.id);
    expect(() => cosign("no checkpoint\n", 5, witness)).toThrow();
    expect(() => cosign(text, 0, witness)).toThrow();
  });

  it("refuses what is not exactly a note", () => {
    const good = signNote(text, log);
    const line = good.slice(good.indexOf("\u2014"));
    const bad = [
      "",
      "a\n",
      `${good}\n`,
      good.slice(0, -1),
      good.replaceAll("\n", "\r\n"),
      good.replace("\u2014 ", "- "),
      good.replace("\u2014 ", "\u2014  "),
      good.replace(/=\n$/, "\n"),
      good.replace("log.example ", "log+example "),
      `a\u0000\n\n${line}`,
      `a\t\n\n${line}`,
      `a\ud800\n\n${line}`,
      `a\n\n${line.repeat(65)}`,
      "a\n\n\u2014 k AAAA\n",
      `a\n\n\u2014 k\u00a0k ${"A".repeat(92)}\n`,
    ];
    for (const note of bad) expect(() => parseNote(note), JSON.stringify(note)).toThrow(/NOTE_MALFORMED/);
    for (const bad of [
      exampleKey.replace("530d903a", "530d903b"),
      exampleKey.replace("530d903a", "530D903A"),
      exampleKey.replace("foo", "fo o"),
      exampleKey.replace("+A", "+B"),
      exampleKey.slice(0, -4),
      `${exampleKey}=`,
    ])
      expect(() => parseVkey(bad), bad).toThrow(/NOTE_MALFORMED/);
    // The identity point: a "signature" by it is easy to find for every message.
    expect(() => verifierKey("k", "note", Uint8Array.of(1, ...new Uint8Array(31)))).toThrow(/NOTE_MALFORMED/);
  });

  it("refuses every one-bit change of a signed note", () => {
    const bytes = Buffer.from(signNote(text, log));
    fc.assert(
      fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        let note: ReturnType<typeof parseNote>;
        try {
          note = parseNote(new TextDecoder("utf-8", { fatal: true }).decode(changed));
        } catch {
          return;
        }
        expect(checkNote({ note, keys: [logKey], suite }).status).toBe("failed");
      }),
      { numRuns: 300 },
    );
  });

  it("merges signatures over one text only", () => {
    const note = parseNote(signNote(text, log));
    const more = { text, signatures: [...note.signatures, cosign(text, 7, witness)] };
    expect(mergeNotes(note, more).signatures).toHaveLength(2);
    expect(() => mergeNotes(note, { ...more, text: "other\n" })).toThrow(/NOTE_MALFORMED/);
  });

  it("reads checkpoints in one form only", () => {
    expect(toHex(parseCheckpoint(text).root)).toBe(toHex(hashLeaf(utf8("x"))));
    for (const bad of [
      text.replace("\n3\n", "\n03\n"),
      text.replace("\n3\n", "\n-3\n"),
      text.replace("\n3\n", "\n3.0\n"),
      text.replace("\n3\n", "\n9007199254740992\n"),
      text.replace("log.example", ""),
      `${text}extension\n`,
      text.slice(0, -1),
      text.replace("=\n", "\n"),
    ])
      expect(() => parseCheckpoint(bad), bad).toThrow(/CHECKPOINT_MALFORMED/);
  });
});
