/** Parameters of one Reed-Solomon code and its queries. */
export type QueryPlan = { readonly queries: number; readonly extra: number; readonly degree: number };

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
/** Number of variables of a table of `n` entries, at least one. */
export const variables = (n: number): number => {
  let v = 1;
  while (2 ** v < n) v++;
  return v;
};

/**
 * Whether `queries` distinct columns miss a word at distance (1 − degree/length)/2 with probability at most 2^−bits:
 * ((length + degree) / (2·length))^queries ≤ 2^−bits, in whole numbers, so that every machine gives the same answer.
 */
export const enough = (queries: number, length: number, degree: number, bits: number): boolean =>
  (BigInt(length + degree) ** BigInt(queries)) << BigInt(bits) <= BigInt(2 * length) ** BigInt(queries);

/** Smallest number of queries for a code whose degree grows with them, or undefined when the rate would pass 1/2. */
export function planQueries(
  length: number,
  bits: number,
  sizes: (queries: number) => { readonly extra: number; readonly degree: number },
): QueryPlan | undefined {
  for (let queries = bits; queries <= length; queries++) {
    const { extra, degree } = sizes(queries);
    if (2 * degree > length) return undefined;
    if (enough(queries, length, degree, bits)) return { queries, extra, degree };
  }
  return undefined;
}

/** Rough bytes of a multi-opening; it only steers the choice of parameters. */
export const pathBytes = (queries: number, length: number): number =>
  32 * queries * Math.max(1, variables(length) - variables(queries));
