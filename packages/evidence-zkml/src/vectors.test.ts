import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fromBase64, fromHex, toHex } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { check, checkRegistration } from "./check.ts";
import { compile, digestCircuit } from "./circuit/compile.ts";
import { makeField } from "./field.ts";
import { loadKernels } from "./kernels/kernels.ts";
import { makeCodes } from "./protocol/codes.ts";
import { checkLinkProof } from "./protocol/link.ts";
import { rules } from "./protocol/statement.ts";

type Mutation =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "cut" | "append"; readonly bytes: number };

function mutate(proof: Uint8Array, m: Mutation): Uint8Array {
  if (m.kind === "flip") {
    const out = proof.slice();
    out[m.at] = (out[m.at] as number) ^ (1 << m.bit);
    return out;
  }
  if (m.kind === "cut") return proof.subarray(0, proof.length - m.bytes);
  return Uint8Array.from([...proof, ...new Uint8Array(m.bytes)]);
}

const folder = join(import.meta.dirname, "..", "..", "..", "spec", "vectors", "zkml");
const files = globSync("*.json", { cwd: folder });
const int32 = (text: string) => new Int32Array(fromBase64(text).slice().buffer);
const int8 = (text: string) => new Int8Array(fromBase64(text).slice().buffer);

/** The registration of a root, where a vector has one. */
function registrationOf(root: string | undefined): Uint8Array | undefined {
  const v = JSON.parse(readFileSync(join(folder, "registration.json"), "utf8"));
  return v.root === root ? fromBase64(v.proof) : undefined;
}

it("there are vectors", () => expect(files.length).toBeGreaterThanOrEqual(6));

for (const file of files)
  describe(`vector ${basename(file, ".json")}`, () => {
    const v = JSON.parse(readFileSync(join(folder, file), "utf8"));
    const circuit = compile(v.shape, v.options);
    const proof = fromBase64(v.proof);
    const status = (bytes: Uint8Array, registration = registrationOf(v.weights)): string => {
      if (v.root) return checkRegistration(circuit, fromHex(v.root), bytes).status;
      if (v.parent) {
        const k = loadKernels();
        try {
          const checker = { circuit, k, f: makeField(k), codes: makeCodes(k, circuit) };
          return checkLinkProof(checker, fromHex(v.parent), fromHex(v.child), bytes, rules).length === 0
            ? "proven"
            : "unproven";
        } catch {
          return "unproven";
        }
      }
      const layers = v.model?.map((l: { weights: string; bias: string }) => ({
        weights: int8(l.weights),
        bias: int32(l.bias),
      }));
      const report = check({
        circuit,
        weights: layers
          ? { kind: "open", model: { shape: v.shape, layers } }
          : { kind: "hidden", registered: fromHex(v.weights), ...(registration && { registration }) },
        input: v.input ? int8(v.input) : fromHex(v.inputRoot),
        output: Int32Array.from(v.output),
        context: fromHex(v.context),
        proof: bytes,
      });
      return report.status === "unproven" && report.code === "ZK_COMMITMENT_UNREGISTERED" ? report.code : report.status;
    };
    it("is proven", () => {
      if (v.circuitDigest) expect(toHex(digestCircuit(circuit))).toBe(v.circuitDigest);
      const registered = v.options.weights === "open" || v.root || v.parent || registrationOf(v.weights);
      // A vector without a registration checks in every other way.
      expect(status(proof)).toBe(registered ? "proven" : "ZK_COMMITMENT_UNREGISTERED");
    });
    it("is refused in every changed form", () => {
      for (const m of v.refused) expect(status(mutate(proof, m)), JSON.stringify(m)).toBe("unproven");
    });
  });
