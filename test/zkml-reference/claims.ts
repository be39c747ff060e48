import { add, type Ext, embed, invertExt, multiply, negate, ONE, sub, ZERO } from "./field.ts";

/** A padded claim as a form of §6.1: value + Σ pads_i · pad_i + start · (first claim). */
export type Claim = { readonly value: Ext; readonly pads: readonly Ext[]; readonly start: Ext };

/** The Lagrange basis over the nodes 0, 1, …, count − 1 at q. */
const basis = (q: Ext, count: number): readonly Ext[] =>
  Array.from({ length: count }, (_, i) => {
    let top = ONE;
    let bottom = ONE;
    for (let j = 0; j < count; j++) {
      if (j === i) continue;
      top = multiply(top, sub(q, embed(j)));
      bottom = multiply(bottom, embed(i - j));
    }
    return multiply(top, invertExt(bottom));
  });

/** One round: the message is g(0), g(2)[, g(3)], each plus its pad, and g(1) follows from the claim. */
export const nextClaim = (claim: Claim, message: readonly Ext[], challenge: Ext): Claim => {
  const L = basis(challenge, message.length + 1) as readonly Ext[];
  const one = L[1] as Ext;
  const e = [sub(L[0] as Ext, one), ...L.slice(2)];
  let value = multiply(one, claim.value);
  for (const [i, m] of message.entries()) value = add(value, multiply(e[i] as Ext, m));
  return {
    value,
    pads: [...claim.pads.map((c) => multiply(one, c)), ...e.map(negate)],
    start: multiply(one, claim.start),
  };
};

export const FIRST: Claim = { value: ZERO, pads: [], start: ZERO };
export const PRODUCT: Claim = { value: ZERO, pads: [], start: ONE };
