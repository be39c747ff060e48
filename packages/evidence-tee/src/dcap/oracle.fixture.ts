// The two published verifiers, asked the same questions. They are witnesses in tests and decide nothing.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { JsonObject } from "@countersign/core";

const require = createRequire(import.meta.url);

/** What a verifier says: a status with its advisories, or why it refuses. */
export type Verdict =
  | { readonly status: string; readonly advisories: readonly string[] }
  | { readonly refused: string };

type Report = { readonly status: string; readonly advisory_ids: readonly string[] };
const ask = (verify: () => Report): Verdict => {
  try {
    const { status, advisory_ids } = verify();
    return { status, advisories: advisory_ids };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) };
  }
};

/** `@phala/dcap-qvl` 0.3.9, under Intel's root or another one (DER). `at` in milliseconds. */
export function askPhala(document: Uint8Array, collateral: JsonObject, at: number, root?: Uint8Array): Verdict {
  const { QuoteVerifier } = require("@phala/dcap-qvl");
  const verifier = root ? QuoteVerifier.newWithRootCa(Buffer.from(root)) : QuoteVerifier.newProd();
  return ask(() => verifier.verify(Buffer.from(document), collateral, Math.floor(at / 1000)));
}

let wasm: Promise<{ js_verify: (document: Uint8Array, collateral: JsonObject, at: bigint) => Report }> | undefined;

/** `@phala/dcap-qvl-web` 0.3.3, under Intel's root alone; it knows no quotes of version 5. */
export async function askPhalaWeb(document: Uint8Array, collateral: JsonObject, at: number): Promise<Verdict> {
  wasm ??= (async () => {
    const path = require.resolve("@phala/dcap-qvl-web");
    const web = await import(path);
    web.initSync({ module: readFileSync(path.replace(/dcap-qvl-web\.js$/, "dcap-qvl-web_bg.wasm")) });
    return web;
  })();
  const { js_verify } = await wasm;
  return ask(() => js_verify(document, collateral, BigInt(Math.floor(at / 1000))));
}
