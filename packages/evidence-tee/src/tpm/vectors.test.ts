import { existsSync, readFileSync } from "node:fs";
import { canonicalBytes, fromHex, portableSuite, toBase64, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { type CheckId, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { checkTpm } from "./check.ts";
import { tpmDocument } from "./document.ts";
import { parseQuote } from "./quote.ts";

const folder = new URL("../../../../../shared/vectors/tee/", import.meta.url);
const here = existsSync(folder);
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const json = (name: string) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));

type Events = Readonly<Record<string, readonly string[]>>;
type Case = {
  readonly id: string;
  readonly format: string;
  readonly file: string;
  readonly signature: string;
  readonly ak: string;
  readonly quote: string;
  readonly options?: { readonly events?: Events };
  readonly required?: readonly string[];
  readonly expect: string;
};
type Described = {
  readonly nonce: string;
  readonly events: Events;
  readonly preimages: Readonly<Record<string, string>>;
};
const cases: readonly Case[] = here ? json("manifest.json").filter((c: Case) => c.format === "tpm2") : [];

function argsOf(c: Case): DocumentArgs {
  const { nonce, events, preimages }: Described = json(c.quote);
  const log = Object.entries(c.options?.events ?? events).flatMap(([pcr, digests]) =>
    digests.map((digest) => {
      const text = preimages[digest];
      return { pcr: Number(pcr), digest, ...(text !== undefined && { payload: toBase64(utf8(text)) }) };
    }),
  );
  return {
    document: tpmDocument({ quote: bytes(c.file), signature: bytes(c.signature) }),
    at: 0,
    roots: [],
    collateral: [
      { kind: "tpm-key", data: bytes(c.ak) },
      { kind: "event-log", data: canonicalBytes(log) },
    ],
    measurements: null,
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding: null,
    nonce: fromHex(nonce),
    maxAge: 300_000,
    suite: nodeSuite,
  };
}
const always: CheckId[] = ["form", "algorithm", "signature", "attributes", "eventlog", "freshness"];
const outcome = (args: DocumentArgs, required: readonly CheckId[]) =>
  obstacleOf(checkTpm(args), required)?.code ?? "pass";

if (!here) test.skip("shared TEE vectors are not here: TPM quotes", () => {});
const describeHere = here ? describe : () => {};

describeHere("quotes of a TPM", () => {
  test("are all there", () => expect(cases.length).toBe(3));

  test.each(cases)("$id: $expect", (c) => {
    const args = argsOf(c);
    expect(outcome(args, [...always, ...((c.required ?? []) as CheckId[])])).toBe(c.expect);
    expect(checkTpm({ ...args, suite: portableSuite })).toEqual(checkTpm(args));
  });

  test("no single bit can be turned", () => {
    const c = cases[0] as Case;
    const args = argsOf(c);
    const parts = { quote: bytes(c.file), signature: bytes(c.signature) };
    const accepted: string[] = [];
    for (const name of ["quote", "signature"] as const)
      for (let i = 0; i < 8 * parts[name].length; i++) {
        const turned = parts[name].slice();
        turned[i >> 3] = (turned[i >> 3] as number) ^ (1 << (i & 7));
        const document = tpmDocument({ ...parts, [name]: turned });
        if (outcome({ ...args, document }, ["signature"]) === "pass") accepted.push(`${name}:${i}`);
      }
    expect(accepted).toEqual([]);
  });

  test("the body of another quote is read", () => {
    const quote = parseQuote(bytes("tpm/quote-body-only.bin"));
    expect(quote.extraData).toEqual(fromHex("12345678"));
    expect(quote.clock).toEqual({ time: 0x054dd1efn, resets: 16, restarts: 0, safe: true });
    expect(quote.selections).toEqual([{ hash: 0x0b, pcrs: [0, 1, 2] }]);
  });
});
