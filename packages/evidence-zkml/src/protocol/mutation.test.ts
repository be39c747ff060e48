import { describe, expect, it } from "vitest";
import { P } from "../field.ts";
import { denseShape, makeDice } from "../nets.fixture.ts";
import { bytes, freeze, judge, perform, type Stage, setStage } from "./forge.fixture.ts";
import { rules } from "./statement.ts";
import { proofChecks } from "./verify.ts";
import { openedSizes } from "./wire.ts";

const shape = denseShape([24, 20, 11, 5], [9, 12]);

/** Where each part of a proof begins and ends, in bytes. */
function partsOf(
  s: Stage,
  length: number,
): readonly { readonly name: string; readonly from: number; readonly to: number; readonly free: boolean }[] {
  const { witness: f, weight: w, variables: v } = s.circuit;
  const hidden = s.circuit.weights === "hidden";
  let at = 0;
  const part = (name: string, size: number, free = false) => {
    at += size;
    return { name, from: at - size, to: at, free };
  };
  return [
    ...["first", ...(hidden ? ["mask"] : []), "second", "third"].map((n) => part(`root ${n}`, 32, true)),
    part("lookup rounds", 48 * v.slots),
    part("product rounds", 32 * (v.inputs + v.layers)),
    ...(hidden ? [part("combination", 16 * w.degree)] : []),
    part("proximity", 16 * f.proximity),
    part("linear", 16 * f.linear),
    part("product", 16 * f.product),
    ...openedSizes(s.circuit).flatMap(({ rows, queries }, m) => [
      part(`salts ${m}`, 16 * queries, true),
      part(`columns ${m}`, 4 * (rows - 4) * queries),
    ]),
    part("paths", length - at, true),
  ];
}

/** Changes one word to another valid one. */
function change(proof: Uint8Array, at: number, free: boolean): Uint8Array {
  const out = proof.slice();
  const view = new DataView(out.buffer);
  const word = view.getUint32(at, true);
  view.setUint32(at, free ? word ^ 1 : (word + 1) % P, true);
  return out;
}

for (const options of [{ weights: "open" }, { weights: "hidden" }, { weights: "hidden", input: "hidden" }] as const)
  describe(`mutations, ${JSON.stringify(options)}`, () => {
    const s = setStage(shape, options);
    const { record, replay } = freeze();
    const proof = perform(s);
    const parts = partsOf(s, proof.length);
    const dice = makeDice(7);
    const spots = parts.flatMap((p) =>
      [p.from, p.to - 4, ...Array.from({ length: 3 }, () => p.from + 4 * dice((p.to - p.from) / 4))].map((at) => ({
        ...p,
        at,
      })),
    );
    it("accepts the honest proof, also with its own challenges frozen", () => {
      expect(judge(s, proof, record)).toEqual([]);
      expect(judge(s, proof, replay)).toEqual([]);
    });
    it("refuses every changed word", () => {
      for (const { name, at, free } of spots) {
        const mutant = change(proof, at, free);
        expect(judge(s, mutant).length, `${name} at ${at}`).toBeGreaterThan(0);
      }
    });
    it("refuses every changed word with frozen challenges, and each check is the reason for some", () => {
      judge(s, proof, record);
      const reasons = new Set<string>();
      for (const { name, at, free } of spots) {
        const found = judge(s, change(proof, at, free), replay);
        expect(found.length, `${name} at ${at}`).toBeGreaterThan(0);
        for (const reason of found) reasons.add(reason);
      }
      const never = options.weights === "open" ? ["bound of the output", "weight opening"] : ["bound of the output"];
      expect([...reasons].sort()).toEqual(
        proofChecks
          .map((c) => c.name)
          .filter((n) => !never.includes(n))
          .sort(),
      );
    });
    it("refuses a product polynomial that is changed by a multiple of X^H − 1, at the product test alone", () => {
      judge(s, proof, record);
      const part = parts.find((p) => p.name === "product") as (typeof parts)[number];
      const out = proof.slice();
      const view = new DataView(out.buffer);
      const bump = (at: number, by: number) => view.setUint32(at, (view.getUint32(at, true) + by) % P, true);
      bump(part.from, P - 1);
      bump(part.from + 4 * s.circuit.witness.row, 1);
      expect(judge(s, out, replay)).toEqual(["product test"]);
    });
    it("refuses a word that is p more, and other lengths, before anything is computed", () => {
      for (const p of parts.filter((x) => !x.free)) {
        const out = proof.slice();
        new DataView(out.buffer).setUint32(p.from, P, true);
        expect(() => judge(s, out), p.name).toThrow(/not an element/);
      }
      expect(() => judge(s, proof.subarray(0, parts.at(-1)?.from ?? 0).subarray(0, -1))).toThrow(/ends before/);
      expect(judge(s, proof.subarray(0, proof.length - 32))).toContain("Merkle paths");
      expect(judge(s, Uint8Array.from([...proof, 0]))).toEqual(["Merkle paths"]);
    });
    it("stays with its statement", () => {
      const { statement } = s;
      const input =
        statement.input.kind === "public"
          ? { kind: "public" as const, values: statement.input.values.map((v) => v ^ 1) }
          : { kind: "hidden" as const, root: bytes(1) };
      for (const other of [
        { ...statement, context: bytes(4) },
        { ...statement, weights: bytes(8) },
        { ...statement, output: statement.output.map((v, i) => (i === 0 ? v + 1 : v)) },
        { ...statement, input },
      ])
        expect(judge({ ...s, statement: other }, proof, rules).length).toBeGreaterThan(0);
    });
  });
