import { type Check, type Hex, toHex } from "@countersign/core";
import type { CheckId, DocumentReport, TeeCheck } from "@countersign/evidence-tee";
import { paint, print, printable, table } from "../terminal.ts";

const states = {
  passed: () => paint("green", "passed"),
  failed: () => paint("red", "failed"),
  "not-run": () => paint("yellow", "not run"),
} as const;
const iso = (ms: number) => new Date(ms).toISOString();

/** What keeps a document from meeting what is required. */
export type Obstacle = { readonly code: string; readonly why: string } | undefined;
/** One judgement of one document. */
export type Judged = { readonly at: number; readonly report: DocumentReport; readonly obstacle: Obstacle };

/** Result of a check, with its code. */
const resultOf = (check: TeeCheck): string =>
  check.result === "failed" ? `${states.failed()} ${check.code}` : states[check.result]();

/** One row a check: the result for each time, the sentence, what was found. */
export function checkTable(judged: readonly Judged[], required: readonly CheckId[]): string {
  const [first] = judged as [Judged, ...Judged[]];
  const rows = first.report.checks.map((check, i) => [
    check.id,
    required.includes(check.id) ? "yes" : "",
    ...judged.map(({ report }) => resultOf(report.checks[i] as TeeCheck)),
    `${check.title}: ${printable(check.why)}`,
  ]);
  const times = judged.length > 1 ? [`at ${iso(first.at)}`, "now"] : [`at ${iso(first.at)}`];
  return table(["check", "needed", ...times, ""], rows);
}

const pairs = (values: Readonly<Record<string, string | number>>) =>
  Object.entries(values).map(([name, value]) => `${name} ${printable(String(value))}`);

/** What the document says: registers, level, who signed it. What stands here is not judged. */
export function factTable(report: DocumentReport): string {
  const list = (name: string, lines: readonly string[]) => lines.map((line, i) => [i === 0 ? name : "", line]);
  const rows = [
    ...list("vendor", [report.vendor]),
    ...list("assurance", [report.assurance ?? "none: nothing shows that it is authentic"]),
    ...list("attester", [printable(report.attester ?? "unknown")]),
    ...list("made", report.producedAt === null ? ["the document does not say"] : [iso(report.producedAt)]),
    ...list("level", [[report.tcb.status, ...report.tcb.advisories].join(", "), ...pairs(report.tcb.components)]),
    ...list("registers", pairs(report.registers)),
    ...list("at run time", pairs(report.runtime)),
    ...list("measurement", [report.measurement ?? "none"]),
    ...list("attests", [report.reportData === null ? "nothing" : toHex(report.reportData)]),
    ...list("facts", pairs(report.facts)),
  ];
  return table(["", ""], rows);
}

/** The conclusion in one line. */
export const conclusion = ({ at, obstacle }: Pick<Judged, "at" | "obstacle">, name: string): string =>
  obstacle
    ? `${paint(["red", "bold"], "NOT ACCEPTED")} ${name} (${iso(at)}): ${printable(obstacle.why)} (${obstacle.code})`
    : `${paint(["green", "bold"], "ACCEPTED")} ${name} (${iso(at)}): every check that is needed passed.`;

/** Rows of checks as a verdict has them. */
export const showChecks = (checks: readonly Check[]): string =>
  table(
    ["check", "", ""],
    checks.map((c) => [
      states[c.status](),
      printable(c.title),
      printable(c.code ? `${c.detail} (${c.code})` : c.detail),
    ]),
  );

/** Says loudly what was not asked, since it then proves nothing. */
export function warnUnasked(asked: {
  readonly measurements: readonly Hex[] | null;
  readonly binding: Uint8Array | null;
  readonly nonce: Uint8Array | null;
}): readonly string[] {
  const loud = (text: string) => paint(["black", "bgYellow"], ` ${text} `);
  return [
    asked.measurements === null &&
      loud("The measurement was compared with nothing: this may be any code. Name those you accept: --measurement ID"),
    asked.binding === null &&
      asked.nonce === null &&
      loud("What it attests was compared with nothing: it may be about any key. Give --binding or --nonce"),
  ].filter((line) => line !== false);
}

/** Prints lines, an empty one between. */
export const printBlocks = (blocks: readonly string[]): void => print(blocks.filter((b) => b !== "").join("\n\n"));
