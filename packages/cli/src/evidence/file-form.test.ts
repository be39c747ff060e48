import { toBase64, toHex, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { frames, readDocuments } from "./file-form.ts";

const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) & 255);
const one = (file: Uint8Array, format: Parameters<typeof readDocuments>[1] = "nitro") => {
  const found = readDocuments(file, format, undefined);
  expect(found).toHaveLength(1);
  return found[0] as (typeof found)[number];
};
const refused = (code: string) => expect.objectContaining({ code });

test("binary, hex and base64 of one document give the same bytes, and say what they were", () => {
  const wrapped = toBase64(bytes).replace(/(.{64})/g, "$1\n");
  const files = [
    [bytes, /^binary/],
    [utf8(toHex(bytes)), /^hex/],
    [utf8(`0x${toHex(bytes).toUpperCase()}\n`), /^hex/],
    [utf8(toBase64(bytes)), /^base64/],
    [utf8(`${wrapped}\n`), /^base64/],
  ] as const;
  for (const [file, said] of files) {
    const { document, said: found } = one(file);
    expect(document).toEqual(bytes);
    expect(found).toMatch(said);
  }
});

test("text that is none of them is refused, never searched", () => {
  const armoured = `-----BEGIN DOCUMENT-----\n${toBase64(bytes)}\n-----END DOCUMENT-----\n`;
  for (const text of [armoured, "hello world", toHex(bytes).slice(1), `${toBase64(bytes)}!`, '{"document":"00"}']) {
    expect(() => readDocuments(utf8(text), "nitro", undefined), text.slice(0, 20)).toThrow(
      refused("TEE_EVIDENCE_MALFORMED"),
    );
  }
});

test("the vendors' JSON: a list of GPUs, a quote with its event log, a token beside its result", () => {
  const gpus = [{ evidence: "a" }, { evidence: "b" }];
  const split = readDocuments(utf8(JSON.stringify(gpus)), "nvidia", undefined);
  expect(split.map((d) => JSON.parse(new TextDecoder().decode(d.document)))).toEqual(gpus.map((g) => [g]));
  const quote = one(utf8(JSON.stringify({ quote: toHex(bytes), event_log: "[]" })), "tdx");
  expect(quote.document).toEqual(bytes);
  expect(quote.collateral).toEqual([{ kind: "event-log", data: utf8("[]") }]);
  const token = one(utf8(JSON.stringify({ detached_eat: [["JWT", "x"]], result_code: 0 })), "nvidia-eat");
  expect(new TextDecoder().decode(token.document)).toBe('[["JWT","x"]]');
});

test("JSON with two readings is refused", () => {
  const twice = utf8(`{"quote":"00","quote":"01"}`);
  expect(() => readDocuments(twice, "tdx", undefined)).toThrow(refused("TEE_EVIDENCE_MALFORMED"));
});

test("a token is text as it stands", () => {
  expect(one(utf8("aaa.bbb.ccc\n"), "confidential-space").document).toEqual(utf8("aaa.bbb.ccc"));
});

test("a frame is unwrapped by its grammar and only for its format", () => {
  for (const frame of frames) {
    expect(() => readDocuments(bytes, "tdx", frame)).toThrow(refused("COMMAND_MISUSED"));
    const format = frame === "hcl" ? "sev-snp" : "nitro";
    expect(() => readDocuments(bytes, format, frame)).toThrow(refused("TEE_EVIDENCE_MALFORMED"));
  }
});
