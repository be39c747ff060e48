import { type Check, type Hex, toHex } from "@countersign/core";
import type { CheckId, DocumentReport, TeeCheck } from "@countersign/evidence-tee";
import { paint, print, printable, table } from "../terminal.ts";
import { optionFor } from "./missing.ts";

const states = {
  passed: () => paint("green", "passed"),
  failed: () => paint("red", "failed"),
  "not-run": () => paint("yellow", "not run"),
} as const;
const iso = (ms: number) => new Date(ms).toISOString();

/** What keeps a document from meeting what is required. */
export type Obstacle = { readonly code: string; readonly why: string; readonly remedy?: string } | undefined;
/** One judgement of one document. */
export type Judged = { readonly at: number; readonly report: DocumentReport; readonly obstacle: Obstacle };

/** Result of a check, with its code. */
const resultOf = (check: TeeCheck): string =>
  check.result === "failed" ? `${states.failed()} ${check.code}` : states[check.result]();

/** A check's sentence, and the option that supplies what it missed where it is needed. */
function sayCheck({ report }: Judged, i: number, needed: boolean): string {
  const check = report.checks[i] as TeeCheck;
  const option = needed || check.result === "failed" ? optionFor(report.format, check) : undefined;
  return printable(option === undefined ? check.why : `${check.why} Give ${option}.`);
}

/** One row a check: the result for each time, the sentence, what was found. */
export function checkTable(judged: readonly Judged[], required: readonly CheckId[]): string {
  const [first, second] = judged as [Judged, Judged?];
  const rows = first.report.checks.map((check, i) => {
    const needed = required.includes(check.id);
    const sentence = sayCheck(first, i, needed);
    // A sentence about the one time beside a result of the other would be read as about both.
    const differs = second !== undefined && second.report.checks[i]?.result !== check.result;
    return [
      check.id,
      needed ? "yes" : "",
      ...judged.map(({ report }) => resultOf(report.checks[i] as TeeCheck)),
      differs
        ? `${check.title}. At the time: ${sentence} Now: ${sayCheck(second, i, needed)}`
        : `${check.title}: ${sentence}`,
    ];
  });
  const times = judged.length > 1 ? [`at ${iso(first.at)}`, "now"] : [`at ${iso(first.at)}`];
  return table(["check", "needed", ...times, ""], rows);
}

/** Whether the document could be read at all: of one that could not, nothing can be told. */
export const isReadable = (report: DocumentReport): boolean => report.checks[0]?.result === "passed";

/** Whose document it is: a simulation has the form of a vendor's and nothing else of his. */
function vendorOf({ vendor, assurance, checks }: DocumentReport): string {
  const says = checks.some((c) => c.result === "failed" && c.code === "TEE_SIMULATED_NOT_ALLOWED");
  if (assurance === "simulated" || says) return `simulated, in the form of ${vendor}'s: no hardware signed it`;
  return vendor;
}

const pairs = (values: Readonly<Record<string, string | number>>) =>
  Object.entries(values).map(([name, value]) => `${name} ${printable(String(value))}`);

/** What the document says: registers, level, who signed it. What stands here is not judged. */
export function factTable(report: DocumentReport): string {
  if (!isReadable(report)) return "The document cannot be read, so it says nothing.";
  const list = (name: string, lines: readonly string[]) => lines.map((line, i) => [i === 0 ? name : "", line]);
  const rows = [
    ...list("vendor", [vendorOf(report)]),
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
    ? `${paint(["red", "bold"], "NOT ACCEPTED")} ${name} (${iso(at)}): ${printable(obstacle.why)} (${obstacle.code})${obstacle.remedy === undefined ? "" : ` Give ${obstacle.remedy}.`}`
    : `${paint(["green", "bold"], "ACCEPTED")} ${name} (${iso(at)}): every check that is needed passed.`;

/** The conclusion about a document: one in debug mode never looks like one that was accepted. */
export const concludeDocument = (judged: Judged, name: string): string =>
  judged.obstacle === undefined && judged.report.debug === true
    ? `${paint(["black", "bgRed"], " PROVES NOTHING ")} ${name} (${iso(judged.at)}): the enclave runs in DEBUG MODE, which you accepted by your own word (--allow-debug). Its host reads and changes what is inside: nothing that it signs shows anything. Every other check that is needed passed.`
    : conclusion(judged, name);

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
