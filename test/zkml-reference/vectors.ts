import { readFileSync } from "node:fs";
import type { Options, Shape } from "./circuit.ts";
import { checkLink } from "./link.ts";
import { checkProof, type Statement } from "./proof.ts";
import type { Outcome } from "./refusal.ts";
import { checkRegistration } from "./registration.ts";
import type { Transcript } from "./transcript.ts";

type Change =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "cut"; readonly bytes: number }
  | { readonly kind: "append"; readonly bytes: number };

export type Vector = {
  readonly name: string;
  readonly json: Record<string, unknown>;
  readonly proof: Uint8Array;
  readonly refused: readonly Change[];
  /** Absent for a link. */
  readonly statement?: Statement;
  readonly check: (proof: Uint8Array, transcript?: Transcript) => Outcome;
};

const fromHex = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), "hex"));
const fromBase64 = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), "base64"));

/** One vector of spec/vectors/zkml, with the check that its statement asks for. */
export const readVector = (name: string): Vector => {
  const file = new URL(`../../spec/vectors/zkml/${name}.json`, import.meta.url);
  const json = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const shape = json.shape as Shape;
  const options = json.options as Options;
  const proof = fromBase64(json.proof);
  const refused = json.refused as readonly Change[];
  if (typeof json.parent === "string") {
    const statement = { shape, options, parent: fromHex(json.parent), child: fromHex(json.child) };
    return { name, json, proof, refused, check: (bytes, transcript) => checkLink(statement, bytes, transcript) };
  }
  if (json.root) {
    const statement = { shape, options, root: fromHex(json.root) };
    return {
      name,
      json,
      proof,
      refused,
      check: (bytes, transcript) => checkRegistration(statement, bytes, transcript),
    };
  }
  const layers = json.model as readonly { weights: string; bias: string }[] | null;
  const model = layers?.map((l) => {
    const bias = fromBase64(l.bias);
    const view = new DataView(bias.buffer, bias.byteOffset, bias.length);
    return {
      weights: new Int8Array(fromBase64(l.weights)),
      bias: Array.from({ length: bias.length / 4 }, (_, i) => view.getInt32(4 * i, true)),
    };
  });
  const statement = {
    shape,
    options,
    weights: fromHex(json.weights),
    context: fromHex(json.context),
    output: json.output as readonly number[],
    ...(model ? { model } : {}),
    ...(json.input ? { input: [...new Int8Array(fromBase64(json.input))] } : {}),
    ...(json.inputRoot ? { inputRoot: fromHex(json.inputRoot) } : {}),
  };
  return {
    name,
    json,
    proof,
    refused,
    statement,
    check: (bytes, transcript) => checkProof(statement, bytes, transcript),
  };
};

export const changed = (proof: Uint8Array, change: Change): Uint8Array => {
  if (change.kind === "cut") return proof.slice(0, proof.length - change.bytes);
  if (change.kind === "append") return new Uint8Array([...proof, ...new Uint8Array(change.bytes)]);
  const out = proof.slice();
  out[change.at] = (out[change.at] ?? 0) ^ (1 << change.bit);
  return out;
};
