import { type Ext, type Field, one, zero } from "../field.ts";

/** A hidden claim: public + Σ coef·pad + start·(the sumcheck's first claim). */
export type Form = { readonly public: Ext; readonly pads: readonly Ext[]; readonly start: Ext };

/** What a sumcheck starts from: a claim of zero, or the claim itself. */
export const zeroForm: Form = { public: zero, pads: [], start: zero };
export const claimForm: Form = { public: zero, pads: [], start: one };

/** Lagrange basis at r over the nodes 0, 1, …, n−1. */
function lagrange(f: Field, r: Ext, n: number): readonly Ext[] {
  return Array.from({ length: n }, (_, a) => {
    let top = one;
    let bottom = 1;
    for (let b = 0; b < n; b++)
      if (b !== a) {
        top = f.mul(top, f.sub(r, f.int(b)));
        bottom *= a - b;
      }
    return f.mul(top, f.inv(f.int(bottom)));
  });
}

/**
 * One round: the message holds g(0), g(2), … plus pads, g(1) is claim − g(0), the next claim is g(r).
 * A degree-2 round has two values, a degree-3 round three.
 */
export function step(f: Field, form: Form, message: readonly Ext[], r: Ext): Form {
  const basis = lagrange(f, r, message.length + 1) as Ext[];
  const [at0, at1] = basis as [Ext, Ext];
  const coefs = [f.sub(at0, at1), ...basis.slice(2)];
  let value = f.mul(at1, form.public);
  message.forEach((m, i) => {
    value = f.add(value, f.mul(coefs[i] as Ext, m));
  });
  return {
    public: value,
    pads: [...form.pads.map((x) => f.mul(x, at1)), ...coefs.map((x) => f.neg(x))],
    start: f.mul(form.start, at1),
  };
}

/** eq(a, b) = Π (1 − a − b + 2ab). */
export const eqPoint = (f: Field, a: readonly Ext[], b: readonly Ext[]): Ext =>
  a.reduce((acc, x, i) => {
    const y = b[i] as Ext;
    const xy = f.mul(x, y);
    return f.mul(acc, f.add(f.sub(one, f.add(x, y)), f.add(xy, xy)));
  }, one);
