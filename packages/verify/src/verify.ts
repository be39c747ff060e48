import {
  type Check,
  CountersignError,
  type Envelope,
  type Evidence,
  type EvidenceContext,
  type Finding,
  fromBase64,
  type Hex,
  isSignedBy,
  type Opened,
  openedBytes,
  openFields,
  type ParsedRequest,
  type Policy,
  parsePolicy,
  parseReceipt,
  portableSuite,
  presets,
  type Receipt,
  readDemand,
  readEvidence,
  readRun,
  rememberingSuite,
  type Statement,
  type Suite,
  sha256Hex,
  type Trust,
  tighten,
  type Verdict,
  ways,
} from "@countersign/core";
import { rememberVendorSignatures } from "@countersign/evidence-tee";
import { withGateway } from "./check-channel.ts";
import { checkClearCopies, checkRoot } from "./check-commitment.ts";
import { checkGateway, readAccepted } from "./check-gateway.ts";
import { checkCounted, checkLog, lookUp } from "./check-log.ts";
import { checkPayment } from "./check-payment.ts";
import { checkSampling } from "./check-sampling.ts";
import { checkSnapshots } from "./check-snapshot.ts";
import { compareOutput, comparePrompt, compareRequest, soundSecret } from "./compare.ts";
import { concludeVerdict, rejectReceipt } from "./conclude.ts";
import type { Delivered } from "./delivered.ts";
import { notRun, ran } from "./findings.ts";
import { kinds } from "./kinds.ts";
import { type ReadRequest, readRequest } from "./open.ts";

/** What a verdict is made from: everything is an argument. */
export type VerifyArgs = {
  /** A receipt, as JSON text or value. */
  readonly receipt: unknown;
  /** What the caller has in hand beside it. */
  readonly delivered?: Delivered | undefined;
  /** What the caller demands; without it, what the statement says was demanded. What was bought is always added. */
  readonly policy?: Policy | string | undefined;
  readonly trust: Trust;
  /** The time to judge for, in milliseconds. */
  readonly at: number;
  /** Whether development stand-ins may ground claims. */
  readonly allowDevelopment?: boolean | undefined;
  /** Ed25519; plain JavaScript unless a native one is given. */
  readonly suite?: Suite | undefined;
};

/**
 * Judges a receipt: pure, offline, the same in Node and browsers (spec/claims.md).
 *
 * A receipt that cannot be read or contradicts itself gives a verdict too, never an exception.
 *
 * @throws POLICY_MALFORMED, LEVEL_UNKNOWN for the caller's own policy text
 * @example
 * const verdict = verify({ receipt, delivered: { request, output }, trust, at: Date.now() });
 * if (verdict.outcome !== "met") throw new Error(verdict.summary);
 */
export function verify(args: VerifyArgs): Verdict {
  const wanted = typeof args.policy === "string" ? parsePolicy(args.policy) : args.policy;
  if (wanted) ways(wanted);
  try {
    return judgeReceipt(args, wanted);
  } catch (error) {
    // Whatever a hostile document provokes here is a check that did not run, never a pass and never a crash.
    const known = CountersignError.is(error) ? error : undefined;
    const detail = known?.detail.message ?? "A check failed in a way that it does not know.";
    return rejectReceipt(
      args,
      wanted,
      ran("receipt.form", formTitle, false, detail, known?.code ?? "CHECK_FAILED_TO_RUN"),
    );
  }
}

const formTitle = "The receipt can be read";

const remembering = new WeakMap<Suite, Suite>();

/** The suite with its memory of the checks that held: one verdict makes some of them twice, receipts share others. */
function remember(suite: Suite): Suite {
  const made = remembering.get(suite) ?? rememberVendorSignatures(rememberingSuite(suite));
  remembering.set(suite, made);
  return made;
}

function judgeReceipt(args: VerifyArgs, wanted: Policy | undefined): Verdict {
  const suite = remember(args.suite ?? portableSuite);
  const receipt = parseReceipt(args.receipt);
  const { predicate: statement, subject: receiptRoot } = readRun(receipt.statement);
  const root = checkRoot(receipt, receiptRoot);
  if (root.status === "failed") return rejectReceipt(args, wanted, root);
  const opened = openFields(receipt);
  const delivered = args.delivered ?? {};
  const secret = soundSecret(receipt, statement, opened);

  // 1. Mathematics: content in hand against the commitment.
  const request = readSupplied(delivered, opened, statement);
  const parsed = request && "parsed" in request ? request.parsed : undefined;
  const sides = { receipt, statement, opened, delivered, request, secret };
  const requestComparison = compareRequest(sides);
  const content = {
    request: requestComparison,
    prompt: comparePrompt(sides, requestComparison, parsed),
    output: compareOutput(sides),
  };

  // 2. What was offered and bought, and the log, which also says when.
  const signed = isSignedBy(receipt.statement, statement.issuer, suite) && statement.network === args.trust.network;
  const offer = readAccepted(receipt, opened, suite);
  const accepted = CountersignError.is(offer) ? undefined : offer;
  const logged = checkLog({
    receipt,
    statement,
    subject: receiptRoot,
    opened,
    offer: accepted,
    signed,
    trust: args.trust,
    at: args.at,
    suite,
  });

  // 3. Each kind of evidence on its own.
  const items = readItems(receipt, receiptRoot, statement.network, suite);
  const base: Omit<EvidenceContext, "items"> = {
    receiptRoot,
    statement,
    envelope: receipt.statement,
    opened,
    content,
    keys: receipt.keys,
    trust: args.trust,
    at: args.at,
    loggedAt: logged.loggedAt,
    suite,
    allowDevelopment: args.allowDevelopment ?? false,
    inLog: (entry, proof) => lookUp(entry, proof, args.trust, args.at, suite),
  };
  const reports = kinds.map(({ kind, check }) =>
    check({ ...base, items: items.good.filter((i) => i.evidence.kind === kind) }),
  );
  const word = reports.flatMap((r) => r.findings).some((f) => f.claim === "issuer" && f.status === "proven");

  // 4. The gateway's side, and the payment.
  const gateway = checkGateway({
    receipt,
    receiptRoot,
    statement,
    opened,
    offer,
    trust: args.trust,
    at: args.at,
    loggedAt: logged.loggedAt,
    suite,
  });
  const development = args.trust.development || statement.labels.includes("development");
  const payment = checkPayment({
    statement,
    opened,
    offer: accepted,
    delivery: gateway.delivery,
    word,
    gatewayKnown: gateway.offerKnown,
    token: args.trust.contracts.token,
    development,
  });
  const sampling = checkSampling({
    statement,
    opened,
    delivered,
    word,
    request: content.request.status === "same" ? parsed : undefined,
    development,
  });

  // 5. What could be missing: refutations and revocations, searched by monitors.
  const signers: Hex[] = [statement.issuer, ...(gateway.key ? [gateway.key] : [])];
  const searched = checkSnapshots({
    receipt,
    subject: receiptRoot,
    signers,
    place: logged.place,
    trust: args.trust,
    at: args.at,
    suite,
  });

  const counted = checkCounted(
    logged,
    reports.flatMap((r) => r.findings),
  );
  const checks: Check[] = [
    root,
    ...opened.faults.map(({ path, why }) =>
      ran(
        "opening",
        "An attached opening fits its leaf",
        false,
        `${path.slice(0, 40)}: ${why} It counts as absent.`,
        "STATEMENT_ROOT_MISMATCH",
      ),
    ),
    ...contentChecks(content),
    ...checkClearCopies(statement, opened),
    ...reports.flatMap((r) => r.checks),
    ...gateway.checks,
    payment.check,
    sampling.check,
    ...logged.checks,
    ...counted.checks,
    ...searched.checks,
    ...items.checks,
  ];
  const findings: Finding[] = [
    ...reports.flatMap((r) => r.findings).map((f) => withGateway(f, gateway)),
    payment.finding,
    sampling.finding,
    // The log holds whatever is sent to it: that a stranger's statement is logged proves nothing for anybody.
    word ? counted.finding : { ...counted.finding, status: "unproven" as const },
  ];
  const stated = parsePolicy(statement.policy.demanded);
  const bought = parsePolicy(statement.policy.bought);
  return concludeVerdict({
    args,
    statement,
    receiptRoot,
    signed,
    demanded: tighten(wanted ?? stated, ...(parsed ? demandedBy(parsed) : [])),
    // The offer is the gateway's own word for what was paid for: a receipt that names less is judged by the offer.
    bought: accepted ? tighten(bought, parsePolicy(accepted.guarantee)) : bought,
    findings,
    checks,
    searched,
    // Without a known gateway's offer, what was bought is only the node's word; and logged evidence may be left out.
    whole: accepted !== undefined && gateway.offerKnown && searched.complete,
    disputed:
      searched.disputed ||
      items.good.some(
        (i) =>
          i.evidence.kind === "reexecution" &&
          i.evidence.says === "refutes" &&
          args.trust.auditors.keys.some((k) => k.key === i.evidence.issuer),
      ),
    unmet: accepted?.unmet ?? null,
  });
}

/** What the request itself demands: a gateway must not write down less than the body in hand asks for. */
function demandedBy({ value, suffix }: ParsedRequest): Policy[] {
  if (value.verification === undefined && suffix === undefined) return [];
  try {
    const demand = readDemand({ body: value.verification, suffix }, presets.signature, 0);
    return demand.source === "request" ? [demand.policy] : [];
  } catch (error) {
    if (CountersignError.is(error)) return [];
    throw error;
  }
}

function readSupplied(delivered: Delivered, opened: Opened, statement: Statement): ReadRequest {
  if (delivered.request) return readRequest(delivered);
  const raw = openedBytes(opened, "rawRequest");
  return raw && readRequest({ request: { method: "POST", path: statement.endpoint, body: raw } });
}

const contentTitles = {
  request: "The committed request is the one supplied",
  prompt: "What the model saw follows from the request",
  output: "The delivered answer is the committed one",
} as const;

function contentChecks(content: EvidenceContext["content"]): Check[] {
  return (["request", "prompt", "output"] as const).map((name) => {
    const { status, reason, code } = content[name];
    const id = `content.${name}`;
    return status === "closed"
      ? notRun(id, contentTitles[name], reason, code)
      : ran(id, contentTitles[name], status === "same", reason, code ?? "REQUEST_MISMATCH");
  });
}

/** Evidence items that are well-formed, about this root and signed by whom they name. What fails is listed and counts as absent. */
function readItems(receipt: Receipt, receiptRoot: Hex, network: string, suite: Suite) {
  const good: { envelope: Envelope; evidence: Evidence; blob: Uint8Array | null }[] = [];
  const checks: Check[] = [];
  const title = "An attached item of evidence is about this receipt and signed by its issuer";
  for (const [i, { envelope, blob }] of receipt.evidence.entries()) {
    const id = `evidence.${i}`;
    try {
      const { subject, predicate } = readEvidence(envelope);
      const bytes = blob === null ? null : fromBase64(blob);
      const fits =
        predicate.blob === null ? bytes === null : bytes !== null && sha256Hex(bytes) === predicate.blob.digest;
      const holds =
        subject === receiptRoot &&
        predicate.network === network &&
        isSignedBy(envelope, predicate.issuer, suite) &&
        fits;
      const detail = holds
        ? `${predicate.kind}, ${predicate.format}.`
        : "It is about another receipt, altered or not signed; it counts as absent.";
      checks.push(ran(id, title, holds, detail, "EVIDENCE_MISSING"));
      if (holds) good.push({ envelope, evidence: predicate, blob: bytes });
    } catch (error) {
      if (!CountersignError.is(error) && !(error instanceof RangeError)) throw error;
      checks.push(ran(id, title, false, `It cannot be read: ${error.message.split("\n")[0]}`, "EVIDENCE_MISSING"));
    }
  }
  return { good, checks };
}
