import { decodeEntry, fromBase64Url, keccak256, sha256, toHex } from "@countersign/core";
import { completeReceipt, disclose } from "@countersign/verify";
import { expect, test } from "vitest";
import { answer, answerBody, body } from "../fixtures/receipt.ts";
import { honest } from "./receipts.ts";

/** Everything that a guesser with the right guess could hash: whole bodies, parts of them, and answers. */
const guesses = [
  body,
  answerBody(answer),
  ...["Answer in one word.", "Capital of France?", "Paris", "pocket"].map((t) => new TextEncoder().encode(t)),
  ...(JSON.parse(new TextDecoder().decode(body)) as { messages: object[] }).messages.map((m) =>
    new TextEncoder().encode(JSON.stringify(m)),
  ),
];
const hashes = guesses.flatMap((g) => [sha256(g), keccak256(g), sha256(sha256(g))]).map(toHex);
const reveals = (text: string) => hashes.some((h) => text.includes(h)) || /France|Paris|one word/.test(text);

test("R9: neither the public entry nor the public form of a receipt holds anything that a right guess confirms", () => {
  const [inclusion] = honest.receipt.inclusion;
  const entry = decodeEntry(fromBase64Url(inclusion?.entry ?? ""));
  expect(reveals(JSON.stringify(entry))).toBe(false);
  const shown = disclose(completeReceipt(honest.receipt, honest.delivered), []);
  const decoded = [shown.statement, shown.offer, shown.delivery].map((e) =>
    e ? new TextDecoder().decode(Buffer.from(e.payload, "base64")) : "",
  );
  const opened = shown.openings.map((o) =>
    typeof o.value === "object" && "bytes" in o.value ? new TextDecoder().decode(fromBase64Url(o.value.bytes)) : "",
  );
  expect(reveals([JSON.stringify(shown), ...decoded, ...opened].join("\n"))).toBe(false);
});

test("R9: the guard itself sees an unsalted hash", () => {
  expect(reveals(JSON.stringify({ promptHash: toHex(sha256(body)) }))).toBe(true);
});
