import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type CheckRequest, check, checkRegistration, inputRoot, mostLinks } from "./check.ts";
import { type Circuit, compile } from "./circuit/compile.ts";
import {
  commit,
  commitInput,
  type HiddenOpening,
  link,
  openWeights,
  prove,
  register,
  reopen,
  reopenInput,
} from "./make.ts";
import type { ModelShape, QuantModel } from "./model.ts";
import { denseShape, randomInput, randomModel } from "./nets.fixture.ts";
import { countInMemory, type OpeningCounter } from "./opening-counter.ts";
import { bitsOfReport, soundnessOfRegistration } from "./protocol/levels.ts";
import { bytesOf } from "./protocol/statement.ts";

const shape = denseShape([24, 20, 11, 5], 9);
const model = randomModel(shape);
const input = randomInput(24);
const context = new Uint8Array(32).fill(3);
const codeOf = (request: unknown): string => {
  const report = check(request as CheckRequest);
  return report.status === "proven" ? "proven" : report.code;
};

describe("open weights", () => {
  const circuit = compile(shape, { weights: "open" });
  const { output, proof } = prove({ opening: openWeights(circuit, model), input, context });
  const request: CheckRequest = { circuit, weights: { kind: "open", model }, input, output, context, proof };

  it("proves, with at least 100 bits, and says that nobody outside has reviewed it", () => {
    const report = check(request);
    expect(report).toMatchObject({ status: "proven", facts: { review: "none", bounded: "yes", weights: "open" } });
    expect(circuit.soundness.bits).toBeGreaterThanOrEqual(100);
    expect(circuit.soundness.reached).toBe(true);
  });
  it("refuses other weights, inputs, outputs and contexts", () => {
    const other = randomModel(shape, 2);
    expect(codeOf({ ...request, weights: { kind: "open", model: other } })).toBe("ZK_PROOF_REFUSED");
    expect(codeOf({ ...request, input: randomInput(24, 2) })).toBe("ZK_PROOF_REFUSED");
    expect(codeOf({ ...request, output: output.map((v) => v + 1) })).toBe("ZK_PROOF_REFUSED");
    expect(codeOf({ ...request, context: new Uint8Array(32) })).toBe("ZK_PROOF_REFUSED");
  });
  it("refuses every circuit but the one that its shape compiles to (R7)", () => {
    const change = (part: "weight" | "witness", fields: object): Circuit => ({
      ...circuit,
      [part]: { ...circuit[part], ...fields },
    });
    for (const other of [
      change("witness", { queries: 1 }),
      change("witness", { extra: 4 }),
      change("witness", { length: 2048 }),
      change("witness", { row: 512 }),
      change("weight", { group: 16 }),
      { ...circuit, level: "proven-10" },
      { ...circuit, budget: 5, weights: "hidden" },
      { ...circuit, input: "hidden" },
    ])
      expect(codeOf({ ...request, circuit: other })).toBe("ZK_CIRCUIT_REFUSED");
  });
  it("refuses shapes that no circuit may have", () => {
    const withShape = (s: object) => codeOf({ ...request, circuit: { ...circuit, shape: { ...shape, ...s } } });
    expect(withShape({ layers: denseShape([24, 20, 11, 5], 7).layers })).toBe("ZK_MODEL_INVALID");
    expect(withShape({ layers: denseShape([24, 20, 11, 5], 16).layers })).toBe("ZK_MODEL_INVALID");
    expect(withShape({ inputs: 2 ** 40 })).toBe("ZK_MODEL_INVALID");
    expect(withShape({ inputs: Number.NaN })).toBe("ZK_MODEL_INVALID");
    expect(withShape({ layers: [] })).toBe("ZK_MODEL_INVALID");
    expect(withShape({ layers: [{ kind: "lstm", outputs: 4, shift: [] }] })).toBe("ZK_OPERATOR_UNSUPPORTED");
    expect(
      withShape({
        layers: Array.from({ length: 60 }, (_, l) => ({ kind: "dense", outputs: 60_000, shift: l === 59 ? [] : [9] })),
      }),
    ).toBe("ZK_MODEL_INVALID");
  });
  it("never throws, whatever it is given", () => {
    for (const bad of [
      null,
      undefined,
      {},
      7,
      { circuit: null },
      { ...request, proof: null },
      { ...request, output: null },
      { ...request, weights: null },
      { ...request, weights: { kind: "open", model: {} } },
      { ...request, context: "x" },
    ])
      expect(check(bad as never).status).toBe("unproven");
    fc.assert(fc.property(fc.anything(), (x) => check({ ...request, circuit: x } as never).status === "unproven"));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4000 }), (x) => check({ ...request, proof: x }).status === "unproven"),
    );
  });
  it("takes exactly one encoding", () => {
    expect(codeOf({ ...request, proof: proof.subarray(0, 1000) })).toBe("ZK_PROOF_MALFORMED");
    expect(codeOf({ ...request, proof: Uint8Array.from([...proof, 0]) })).toBe("ZK_PROOF_REFUSED");
  });
});

describe("compile", () => {
  it("leaves a row empty when the rows are a power of two (R6)", () => {
    const shapes = [4, 40, 300, 900].map((n) => denseShape([784, n, 10]));
    const all = shapes.flatMap((s) =>
      (["public", "hidden"] as const).map((at) => compile(s, { weights: "open", input: at })),
    );
    expect(all.some((c) => Number.isInteger(Math.log2(c.witness.allRows)))).toBe(true);
    for (const c of all) expect(2 ** c.variables.rows).toBeGreaterThan(c.witness.allRows);
  });
  it("reaches its level for every mode, and never fewer random coefficients than openings need", () => {
    for (const weights of ["open", "hidden"] as const)
      for (const at of ["public", "hidden"] as const)
        for (const budget of [1, 64]) {
          const c = compile(denseShape([50, 300, 10]), {
            weights,
            input: at,
            ...(weights === "hidden" ? { budget } : {}),
          });
          expect(c.soundness.reached && c.soundness.bits >= 100).toBe(true);
          expect(c.witness.extra).toBeGreaterThanOrEqual(c.witness.queries + 4);
          if (at === "hidden") expect(c.witness.inputExtra).toBeGreaterThanOrEqual(2 * (c.witness.queries + 4));
          if (weights === "hidden") expect(c.weight.extra).toBeGreaterThanOrEqual(budget * c.weight.queries + 4);
          expect(c.witness.degree).toBeGreaterThanOrEqual(Math.max(c.witness.linear, c.witness.product));
        }
  });
  it("holds R2's condition for every shift at the widest layer that it takes", () => {
    const widest = (s: number): number => {
      let low = 1;
      let high = 65_536;
      const takes = (n: number) => {
        try {
          compile(
            {
              inputs: n,
              biasDigits: 3,
              layers: [
                { kind: "dense", outputs: 2, shift: [s] },
                { kind: "dense", outputs: 1, shift: [] },
              ],
            } satisfies ModelShape,
            { weights: "open" },
          );
          return true;
        } catch {
          return false;
        }
      };
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (takes(middle)) low = middle;
        else high = middle - 1;
      }
      return low;
    };
    for (const s of [8, 15]) {
      const bound = 16_384 * widest(s) + 2_113_664;
      expect(bound + 2 ** (s + 15) + 2 ** (s - 1)).toBeLessThan(2_130_706_433);
      // At that bound no other decomposition exists: acc ± p needs z outside of nine bits of h.
      for (const acc of [-bound, 0, bound])
        for (const other of [acc + 2_130_706_433, acc - 2_130_706_433])
          expect(Math.abs(other)).toBeGreaterThan(2 ** (s + 15));
    }
  });
});

describe("hidden weights", () => {
  const circuit = compile(shape, { weights: "hidden", budget: 4 });
  const made = commit(circuit, model, () => countInMemory(4));
  const request = (opening = made.opening, at = input): CheckRequest => ({
    circuit,
    weights: {
      kind: "hidden",
      registered: opening.commitment,
      ...(opening === made.opening && { registration }),
    },
    input: at,
    context,
    ...prove({ opening, input: at, context }),
  });
  const registration = register({ ...made.opening, counter: countInMemory(1) });
  const first = request();
  it("proves with a registration only", () => {
    expect(check(first)).toMatchObject({
      status: "proven",
      facts: { weights: "hidden", bounded: "yes", bits: String(Math.floor(bitsOfReport(circuit, 0, true))) },
    });
    expect(check({ ...first, weights: { kind: "hidden", registered: made.opening.commitment } })).toMatchObject({
      status: "unproven",
      code: "ZK_COMMITMENT_UNREGISTERED",
      facts: { weights: "hidden", bounded: "weights-unbounded" },
    });
    expect(codeOf({ ...first, weights: { kind: "hidden", registered: new Uint8Array(32) } })).toBe("ZK_PROOF_REFUSED");
  });
  it("repeats nothing in two proofs of the same statement: no root, salt, pad or opened column", () => {
    const second = request();
    expect(codeOf(second)).toBe("proven");
    const at = (r: CheckRequest, i: number) => Buffer.from(r.proof.subarray(32 * i, 32 * i + 32)).toString("hex");
    for (let i = 0; i < 200; i++) expect(at(first, i), `bytes ${32 * i}`).not.toBe(at(second, i));
    const chunks = (r: CheckRequest) => {
      const out = new Set<string>();
      for (let i = 128; i + 16 <= r.proof.length - 40_000; i += 16)
        out.add(Buffer.from(r.proof.subarray(i, i + 16)).toString("hex"));
      return out;
    };
    const known = chunks(first);
    expect([...chunks(second)].filter((c) => known.has(c))).toEqual([]);
  });
  it("stops at the budget, and a link counts", () => {
    const parent = commit(circuit, model, () => countInMemory(2)).opening;
    const child = reopen(circuit, model, new Uint8Array(32).fill(1), () => ({ ...countInMemory(4), lasting: true }));
    const joined = link(parent, child);
    const r = request(child);
    const weights = { kind: "hidden" as const, registered: parent.commitment, links: [joined] };
    expect(codeOf({ ...r, weights })).toBe("ZK_COMMITMENT_UNREGISTERED");
    expect(codeOf({ ...r, weights: { ...weights, links: [] } })).toBe("ZK_PROOF_REFUSED");
    expect(codeOf({ ...r, weights: { ...weights, registered: child.commitment } })).toBe("ZK_COMMITMENT_UNLINKED");
    for (let i = 0; i < joined.proof.length; i += Math.floor(joined.proof.length / 40)) {
      const proof = joined.proof.slice();
      proof[i] = (proof[i] as number) ^ 1;
      expect(["ZK_COMMITMENT_UNLINKED", "ZK_PROOF_MALFORMED"]).toContain(
        codeOf({ ...r, weights: { ...weights, links: [{ ...joined, proof }] } }),
      );
    }
    prove({ opening: parent, input, context });
    expect(() => prove({ opening: parent, input, context })).toThrow(/ZK_BUDGET_SPENT/);
    expect(() => link(parent, child)).toThrow(/ZK_BUDGET_SPENT/);
  });
  it("registers a root, and the words of its children are bounded too", () => {
    const parent = commit(circuit, model, () => countInMemory(2)).opening;
    const child = commit(circuit, model, () => countInMemory(2)).opening;
    const registration = register(parent);
    expect(checkRegistration(circuit, parent.commitment, registration).status).toBe("proven");
    expect(checkRegistration(circuit, child.commitment, registration).status).toBe("unproven");
    const joined = link(parent, child);
    const weights = { kind: "hidden" as const, registered: parent.commitment, links: [joined], registration };
    const r = { ...request(child), weights };
    expect(check(r)).toMatchObject({
      status: "proven",
      facts: { bounded: "yes", bits: String(Math.floor(bitsOfReport(circuit, 1, true))) },
    });
    const broken = registration.slice();
    broken[500] = (broken[500] as number) ^ 1;
    expect(check({ ...r, weights: { ...weights, registration: broken } }).status).toBe("unproven");
    expect(() => register(parent)).toThrow(/ZK_BUDGET_SPENT/);
  });
  it("counts the bits of proof, links and registration together, and takes three links", () => {
    const part = (bits: number): number => 2 ** -bits;
    const { terms } = circuit.soundness;
    const proof = terms.reduce((a, t) => a + part(t.bits), 0);
    const one = 2 * terms.slice(8).reduce((a, t) => a + part(t.bits), 0);
    const own = soundnessOfRegistration(circuit).terms.reduce((a, t) => a + part(t.bits), 0);
    for (const links of [0, 1, mostLinks])
      expect(bitsOfReport(circuit, links, true)).toBeCloseTo(-Math.log2(proof + links * one + own), 1);
    expect(bitsOfReport(circuit, mostLinks, true)).toBeLessThan(bitsOfReport(circuit, 0, false));
    const chain = Array.from({ length: 5 }, () => commit(circuit, model, () => countInMemory(4)).opening);
    const links = chain.slice(1).map((child, i) => link(chain[i] as HiddenOpening, child));
    const [root] = chain as [HiddenOpening];
    const own0 = register(root);
    const judge = (count: number) => {
      const weights = { kind: "hidden" as const, registered: root.commitment, links: links.slice(0, count) };
      return check({ ...request(chain[count]), weights: { ...weights, registration: own0 } });
    };
    expect(judge(3)).toMatchObject({
      status: "proven",
      facts: { bits: String(Math.floor(bitsOfReport(circuit, 3, true))) },
    });
    expect(judge(4)).toMatchObject({ status: "unproven", code: "ZK_COMMITMENT_UNLINKED" });
  });
  it("does not link commitments of different weights", () => {
    const parent = commit(circuit, model, () => countInMemory(4)).opening;
    const changed = randomModel(shape);
    const last = changed.layers[2] as (typeof changed.layers)[number];
    last.weights[7] = 1 + (last.weights[7] as number);
    const child = commit(circuit, changed, () => countInMemory(4)).opening;
    const joined = link(parent, child);
    expect(
      codeOf({ ...request(child), weights: { kind: "hidden", registered: parent.commitment, links: [joined] } }),
    ).toBe("ZK_COMMITMENT_UNLINKED");
  });
  it("takes no counter that allows more openings than the circuit hides weights for", () => {
    expect(() => commit(circuit, model, () => countInMemory(5))).toThrow(/ZK_MODEL_INVALID/);
  });
  it("is not opened again with a counter that begins anew, and says when a counter may be new", () => {
    const created: boolean[] = [];
    const note = (lasting: boolean) => (_: Uint8Array, create: boolean) => {
      created.push(create);
      return { ...countInMemory(4), lasting };
    };
    const { secret } = commit(circuit, model, note(false));
    reopen(circuit, model, secret, note(true));
    expect(created).toEqual([true, false]);
    expect(() => reopen(circuit, model, secret, note(false))).toThrow(/ZK_OPENING_RETIRED/);
  });
  it("draws other masks for a link of other roots or circuits, even from a source of randomness that is stuck", () => {
    const stuck = vi.spyOn(crypto, "getRandomValues").mockImplementation((x) => x);
    try {
      const secrets = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;
      const kept = () => ({ ...countInMemory(4), lasting: true });
      const masks = [
        [circuit, model],
        [circuit, randomModel(shape, 5)],
        [compile(shape, { weights: "hidden", budget: 4, input: "hidden" }), model],
      ].map(([c, m]) => {
        const [parent, child] = secrets.map((s) => reopen(c as Circuit, m as QuantModel, s, kept));
        return Buffer.from(link(parent as HiddenOpening, child as HiddenOpening).proof.subarray(0, 32)).toString("hex");
      });
      expect(new Set(masks).size).toBe(3);
    } finally {
      stuck.mockRestore();
    }
  });
  it("counts before it proves: an aborted proof is gone", () => {
    let used = 0;
    const opening = { ...made.opening, counter: { budget: 4, lasting: false, take: () => used++ } };
    expect(() =>
      prove({ opening: { ...opening, committed: { ...opening.committed, tails: null as never } }, input, context }),
    ).toThrow();
    expect(used).toBe(1);
  });
});

describe("hidden input", () => {
  it("is bound to its root, which the client computes again, and wears out", () => {
    const circuit = compile(shape, { weights: "open", input: "hidden" });
    const opening = openWeights(circuit, model);
    const committed = commitInput(circuit, input, () => countInMemory(2));
    const { secret } = committed;
    expect(inputRoot(circuit, input, secret)).toEqual(committed.root);
    // All rows are only shown to be as short as an input's, so products are judged at twice that degree.
    expect(circuit.witness.degree).toBe(2 * (circuit.witness.row + circuit.witness.inputExtra));
    expect(circuit.soundness.bits).toBeGreaterThanOrEqual(100);
    const made = prove({ opening, input: committed, context });
    const request = { circuit, weights: { kind: "open" as const, model }, input: committed.root, context, ...made };
    expect(codeOf(request)).toBe("proven");
    expect(codeOf({ ...request, input: inputRoot(circuit, randomInput(24, 9), secret) })).toBe("ZK_PROOF_REFUSED");
    expect(codeOf({ ...request, input })).toBe("ZK_INPUT_INVALID");
    prove({ opening, input: committed, context });
    expect(() => prove({ opening, input: committed, context })).toThrow(/ZK_BUDGET_SPENT/);
  });
  it("counts the openings of a root however often it is committed again", () => {
    const circuit = compile(shape, { weights: "open", input: "hidden" });
    const opening = openWeights(circuit, model);
    const counts = new Map<string, OpeningCounter>();
    const kept = (root: Uint8Array, create: boolean): OpeningCounter => {
      const name = Buffer.from(root).toString("hex");
      expect(counts.has(name)).toBe(!create);
      const counter = counts.get(name) ?? { ...countInMemory(2), lasting: true };
      counts.set(name, counter);
      return counter;
    };
    const { secret, root } = commitInput(circuit, input, kept);
    const again = () => reopenInput(circuit, input, secret, kept);
    expect(again().root).toEqual(root);
    prove({ opening, input: again(), context });
    prove({ opening, input: again(), context });
    expect(() => prove({ opening, input: again(), context })).toThrow(/ZK_BUDGET_SPENT/);
    // A counter that begins anew would let proofs be collected until the input can be interpolated.
    expect(() => reopenInput(circuit, input, secret, () => countInMemory(2))).toThrow(/ZK_OPENING_RETIRED/);
    expect(() => commitInput(circuit, input, () => countInMemory(3))).toThrow(/ZK_INPUT_INVALID/);
  });
  it("takes inputs and secrets of the exact length, and circuits that hide the input", () => {
    const circuit = compile(shape, { weights: "open", input: "hidden" });
    const secret = new Uint8Array(32).fill(8);
    const kept = () => ({ ...countInMemory(2), lasting: true });
    for (const work of [
      ...[0, 1, 31, 33, 64].flatMap((n) => [
        () => inputRoot(circuit, input, new Uint8Array(n)),
        () => reopenInput(circuit, input, new Uint8Array(n), kept),
      ]),
      ...[0, 3, 200, 300_000].flatMap((n) => [
        () => inputRoot(circuit, new Int8Array(n), secret),
        () => commitInput(circuit, new Int8Array(n), kept),
      ]),
      () => inputRoot(circuit, new Uint8Array(24) as never, secret),
      () => inputRoot(compile(shape, { weights: "open" }), input, secret),
      () => commitInput(compile(shape, { weights: "open" }), input, kept),
    ])
      expect(work).toThrow(/ZK_INPUT_INVALID/);
  });
});

it("output bytes are little-endian", () => expect([...bytesOf(Int32Array.of(-2))]).toEqual([254, 255, 255, 255]));
