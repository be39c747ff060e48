import { describePolicy, parsePolicy, type Verdict } from "@countersign/core";
import { paint, printable, table } from "./terminal.ts";

const signs = {
  met: () => paint(["green", "bold"], "MET"),
  unmet: () => paint(["yellow", "bold"], "NOT MET"),
  pending: () => paint(["cyan", "bold"], "PENDING"),
  refuted: () => paint(["red", "bold"], "REFUTED"),
} as const;
const states = {
  proven: () => paint("green", "proven"),
  refuted: () => paint("red", "refuted"),
  unproven: () => paint("yellow", "unproven"),
  passed: () => paint("green", "passed"),
  failed: () => paint("red", "failed"),
  "not-run": () => paint("yellow", "not run"),
} as const;

const short = (text: string) => {
  try {
    return describePolicy(parsePolicy(text));
  } catch {
    return text;
  }
};

/** One line: the outcome, with development standing out. */
export function verdictLine(verdict: Verdict): string {
  const development = verdict.development ? ` ${paint(["black", "bgYellow"], " DEVELOPMENT ")}` : "";
  return `${signs[verdict.outcome]()}${development} ${printable(verdict.summary)}`;
}

/** The whole verdict for people: outcome, policies, claims with grounds, each check. */
export function showVerdict(verdict: Verdict): string {
  const { policy } = verdict;
  const searched =
    verdict.searchedThrough === null
      ? paint("yellow", "refutations not searched")
      : `searched through ${new Date(verdict.searchedThrough).toISOString()}`;
  const parts = [
    verdictLine(verdict),
    [
      `receipt   ${verdict.receiptRoot ?? "none"}`,
      `demanded  ${printable(short(policy.demanded))}`,
      `bought    ${printable(short(policy.bought))}`,
      `judged    ${printable(policy.judged)}`,
      `final     ${verdict.final ? "yes" : "no"}, ${searched}`,
      verdict.unmet && `if unmet  not charged: ${verdict.unmet}`,
      verdict.disputed && paint("red", "disputed by an auditor"),
    ]
      .filter((l) => l)
      .join("\n"),
  ];
  if (verdict.findings.length > 0) {
    const rows = verdict.findings.map((f) => [
      f.claim,
      f.ground,
      states[f.status](),
      f.development ? "dev" : "",
      printable(f.reason),
    ]);
    parts.push(table(["claim", "ground", "", "", "why"], rows));
  }
  const rows = verdict.checks.map((c) => [
    states[c.status](),
    printable(c.title),
    printable(c.code ? `${c.detail} (${c.code})` : c.detail),
  ]);
  parts.push(table(["check", "", ""], rows));
  return parts.join("\n\n");
}

/** Exit status of an outcome: 0 met, 1 refuted, 2 unmet or pending. */
export const exitOf = (verdict: Verdict): number =>
  verdict.outcome === "met" ? 0 : verdict.outcome === "refuted" ? 1 : 2;
