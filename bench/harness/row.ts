/** One measured line: `ratio` is value over baseline; the baseline was measured in the same run. */
export type Row = {
  readonly name: string;
  readonly value: number | null;
  readonly unit: string;
  readonly baseline: number | null;
  readonly ratio: number | null;
  readonly target: number | null;
  readonly met: boolean;
  /** Why it could not be measured. */
  readonly why?: string;
};

const round = (x: number) => Number(x.toPrecision(4));

/** A measured line. */
export const row = (
  name: string,
  [value, unit, baseline]: readonly [number, string, number],
  target: number,
  met: boolean,
): Row => ({
  name,
  value: round(value),
  unit,
  baseline: round(baseline),
  ratio: round(value / baseline),
  target: round(target),
  met,
});

/** A line for what could not be measured: it stands in the table, never met. */
export const missing = (name: string, why: string): Row => ({
  name,
  value: null,
  unit: "",
  baseline: null,
  ratio: null,
  target: null,
  met: false,
  why,
});
