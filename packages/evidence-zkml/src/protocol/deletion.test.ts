import { describe, expect, it } from "vitest";
import type { Ext } from "../field.ts";
import { denseShape, randomModel } from "../nets.fixture.ts";
import { judge, perform, plainSlot, rerun, type Stage, setStage, tamper, without } from "./forge.fixture.ts";
import { plantInput } from "./input.ts";
import type { Moves } from "./moves.ts";
import { rules } from "./statement.ts";
import { layOutWeights, type Witness } from "./witness.ts";

const shape = denseShape([24, 20, 11, 5], 9);
/** A forgery: refused as it is, accepted once the constraint that it breaks is gone. */
type Forgery = {
  readonly constraint: string;
  readonly forge: (s: Stage) => { readonly stage: Stage; readonly moves?: Moves };
};

const claim = (s: Stage, witness: Witness): Stage => ({
  ...s,
  witness,
  statement: { ...s.statement, output: witness.output },
});
/** A changed activation with everything behind it following. */
const follow = (s: Stage, change: Parameters<typeof tamper>[1]): Stage =>
  claim(s, rerun(s, tamper(s, change), s.model.shape.layers.length - 1));
const at = (s: Stage) => plainSlot(s);

/** One slot's z is one less and its remainder 2^s more: out of its range, in the lower or the upper part. */
const carry = (s: Stage, part: "lo" | "hi"): Stage =>
  follow(s, (c) => {
    const i = at(s);
    c.l[i] = (c.l[i] as number) - 1;
    c.y[i] = (c.y[i] as number) - 1;
    c[part][i] = (c[part][i] as number) + (part === "lo" ? 512 : 2);
  });
/** z's low part is 128 too large and its high part one too small: the neuron counts as negative. */
const sink = (s: Stage): Stage =>
  follow(s, (c) => {
    const i = at(s);
    c.l[i] = (c.l[i] as number) + 128;
    c.h[i] = -1;
    c.z0[i] = 0;
    c.y[i] = 0;
  });

/** A plain neuron with the sign of a saturated one. */
const saturate = (s: Stage): Stage =>
  follow(s, (c) => {
    const i = at(s);
    c.z0[i] = 0;
    c.zp[i] = 1;
    c.y[i] = 127;
  });

/** A hidden input that is no int8. */
function stretchInput(s: Stage): Stage {
  const witness = rerun(
    s,
    tamper(s, (_, input) => {
      input[0] = 200;
    }),
    0,
  );
  const { k, codes } = s.prepared;
  const root = k.scope(() => plantInput(k, codes, s.circuit, witness.input, s.inputSecret).tree.root);
  return {
    ...claim(s, witness),
    statement: { ...s.statement, input: { kind: "hidden", root }, output: witness.output },
  };
}

const forgeries: readonly Forgery[] = [
  { constraint: "lookup balance", forge: (s) => ({ stage: carry(s, "lo") }) },
  ...([0, 1, 2, 3, 4] as const).map(
    (c): Forgery => ({
      constraint: `inverse ${c}`,
      forge: (s) => {
        const stage =
          c === 4 ? stretchInput(s) : c === 3 ? saturate(s) : c === 2 ? sink(s) : carry(s, c === 0 ? "lo" : "hi");
        const slot = c === 4 ? 0 : at(s);
        const { k, f } = s.prepared;
        // The wrong value is booked on an entry of the table, and the slot's inverse becomes that entry's.
        const inverse = (column: number, table: number): number => {
          if (column !== c) return table;
          const { slots } = s.circuit.witness;
          const copy = k.alloc(16 * slots);
          k.u32(copy, 4 * slots).set(k.u32(table, 4 * slots));
          const beta = betas.get(s) as Ext;
          const { lo, hi, l, h, zp } = stage.witness.columns;
          const value = [lo, hi, l, h][c]?.[slot] ?? (stage.witness.input[0] as number);
          const tag = [0, 17, 7, 9, 10][c] as number;
          const beta2 = f.mul(beta, beta);
          let lookedUp = f.add(f.int(tag), f.mul(beta, f.int(value)));
          if (c === 3 && zp[slot]) lookedUp = f.add(lookedUp, f.mul(beta2, beta));
          const alpha = f.add(f.inv(f.get(table, slot)), lookedUp);
          const booked = c === 3 ? f.add(f.add(f.int(9), f.mul(beta, f.int(value))), beta2) : f.int(0);
          k.u32(copy + 16 * slot, 4).set(f.inv(f.sub(alpha, booked)));
          return copy;
        };
        return { stage, moves: { inverse } };
      },
    }),
  ),
  {
    constraint: "sign",
    forge: (s) => {
      // A neuron that ReLU sets to 0 shows its low part instead.
      const i = s.witness.columns.h.findIndex(
        (h, j) => h < 0 && (s.witness.columns.l[j] as number) > 0 && j >= (s.circuit.witness.offsets.at(-1) as number),
      );
      const stage = follow(s, (c) => {
        c.y[i] = c.l[i] as number;
      });
      const signs = tamper(stage, (c) => {
        c.z0[i] = 1;
      });
      return { stage, moves: { signs } };
    },
  },
  ...(["lo", "hi", "l"] as const).map(
    (name, c): Forgery => ({
      constraint: `lookup ${c}`,
      forge: (s) => {
        const stage = name === "l" ? sink(s) : carry(s, name);
        const lookups = tamper(stage, (x) => {
          x[name][at(s)] = s.witness.columns[name][at(s)] as number;
        });
        return { stage: recount(stage, lookups), moves: { lookups } };
      },
    }),
  ),
  {
    constraint: "lookup 3",
    forge: (s) => ({ stage: recount(saturate(s), s.witness), moves: { lookups: s.witness } }),
  },
  {
    constraint: "lookup 4",
    forge: (s) => {
      const stage = stretchInput(s);
      const lookups = tamper(stage, (_, input) => {
        input[0] = s.witness.input[0] as number;
      });
      return { stage: recount(stage, lookups), moves: { lookups } };
    },
  },
  {
    constraint: "low part",
    forge: (s) => {
      const i = at(s);
      const stage = follow(s, (c) => {
        c.y[i] = (c.y[i] as number) + 1;
      });
      return {
        stage,
        moves: {
          signs: tamper(stage, (c) => {
            c.l[i] = (c.l[i] as number) + 1;
          }),
        },
      };
    },
  },
  {
    constraint: "first sumcheck",
    forge: (s) => {
      const i = at(s);
      return {
        stage: follow(s, (c) => {
          c.y[i] = (c.y[i] as number) + 1;
        }),
      };
    },
  },
  {
    constraint: "weights",
    forge: (s) => {
      const other = randomModel(shape, 77);
      const lies = setStage(shape, { weights: "open", seed: 1, input8: s.trace.inputs[0] as Int8Array }, other);
      const { k } = s.prepared;
      const layout = layOutWeights(s.circuit, other);
      const matrix = k.alloc(layout.length);
      k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer));
      return { stage: claim(s, lies.witness), moves: { pass: { ...s.prepared, matrix } } };
    },
  },
  {
    constraint: "inputs of layers",
    forge: (s) => {
      const values = (s.trace.inputs[0] as Int8Array).map((v) => v ^ 1);
      const lies = setStage(shape, { weights: "open", input8: values }, s.model);
      return { stage: claim(s, lies.witness), moves: { inputs: lies.witness } };
    },
  },
  {
    constraint: "product sumcheck",
    forge: (s) => ({ stage: { ...s, statement: { ...s.statement, output: s.statement.output.map((v) => v + 1) } } }),
  },
];

const betas = new Map<Stage, Ext>();

/** The multiplicities of what the lookups see. */
const recount = (stage: Stage, seen: Witness): Stage => ({
  ...stage,
  witness: { ...stage.witness, multiplicities: seen.multiplicities },
});

describe("each constraint stops a forgery that nothing else stops", () => {
  const honest = setStage(shape, { weights: "open" });
  it("accepts the honest proof", () => {
    expect(judge(honest, perform(honest))).toEqual([]);
  });
  for (const { constraint, forge } of forgeries)
    it(constraint, () => {
      const stage = setStage(shape, { weights: "open", input: constraint.endsWith("4") ? "hidden" : "public" });
      const watching = {
        ...rules,
        transcript: (k: never, f: never) => {
          const t = rules.transcript(k, f);
          return {
            ...t,
            draw: (what: never, n: number) => {
              const out = t.draw(what, n);
              if (what === "beta") betas.set(stage, out[0] as never);
              return out;
            },
          };
        },
      };
      const { stage: forged, moves } = forge(stage);
      const refused = judge(forged, perform(forged, watching as never, moves));
      expect(refused, "refused by all rules").not.toEqual([]);
      const weak = without(constraint);
      const weakWatching = { ...weak, transcript: watching.transcript } as never;
      expect(judge(forged, perform(forged, weakWatching, moves), weak), "accepted without it").toEqual([]);
    });
});
