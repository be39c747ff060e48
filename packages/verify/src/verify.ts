import {
  type Check,
  CountersignError,
  type Delivery,
  type EvidenceContext,
  type Finding,
  fromBase64,
  type Hex,
  isSignedBy,
  type Offer,
  type Opened,
  offerDigest,
  offerLeafShape,
  openFields,
  type ParsedRequest,
  type Policy,
  parseCanonical,
  parsePolicy,
  parseReceipt,
  parseRequest,
  portableSuite,
  type Receipt,
  readDelivery,
  readEvidence,
  readOffer,
  readRun,
  type Statement,
  type Suite,
  sha256Hex,
  type Trust,
  tighten,
  type Verdict,
} from "@countersign/core";
import { standingOfKey } from "@countersign/evidence-signature";
import { checkClearCopies, checkOffer, checkRoot } from "./check-commitment.ts";
import { checkLog } from "./check-log.ts";
import { checkPayment } from "./check-payment.ts";
import { checkSampling } from "./check-sampling.ts";
import { checkSnapshots } from "./check-snapshot.ts";
import { compareOutput, comparePrompt, compareRequest } from "./compare.ts";
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
  const suite = args.suite ?? portableSuite;
  const wanted = typeof args.policy === "string" ? parsePolicy(args.policy) : args.policy;
  let receipt: Receipt;
  let run: ReturnType<typeof readRun>;
  let opened: Opened;
  let bought: Policy;
  let demanded: Policy;
  try {
    receipt = parseReceipt(args.receipt);
    run = readRun(receipt.statement);
    const root = checkRoot(receipt, run.subject);
    if (root.status === "failed") return rejectReceipt(args, wanted, root);
    opened = openFields(receipt);
    bought = parsePolicy(run.predicate.policy.bought);
    demanded = parsePolicy(run.predicate.policy.demanded);
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return rejectReceipt(
      args,
      wanted,
      ran(
        "receipt.form",
        "The receipt can be read and does not contradict itself",
        false,
        error.detail.message,
        error.code,
      ),
    );
  }
  const statement = run.predicate;
  const receiptRoot = run.subject;
  const delivered = { ...args.delivered, clientNonce: args.delivered?.clientNonce ?? receipt.holder?.clientNonce };

  // 1. Mathematics: content in hand against the commitment.
  const request = readSupplied(delivered, opened, statement);
  const parsed = request && "parsed" in request ? request.parsed : undefined;
  const sides = { receipt, statement, opened, delivered, request };
  const requestComparison = compareRequest(sides);
  const content = {
    request: requestComparison,
    prompt: comparePrompt(sides, requestComparison, parsed),
    output: compareOutput(sides),
  };

  // 2. The log, which also says when.
  const logged = checkLog({ receipt, statement, subject: receiptRoot, trust: args.trust, at: args.at, suite });

  // 3. Each kind of evidence on its own.
  const items = readItems(receipt, receiptRoot, suite);
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
  };
  const reports = kinds.map(({ kind, check }) =>
    check({ ...base, items: items.good.filter((i) => i.evidence.kind === kind) }),
  );
  const word = reports.flatMap((r) => r.findings).some((f) => f.claim === "issuer" && f.status === "proven");

  // 4. What was offered, bought, delivered and paid.
  const gateway = readGateway(receipt, receiptRoot, statement, opened, args, logged.loggedAt, suite);
  const development = args.trust.development || statement.labels.includes("development");
  const payment = checkPayment({ statement, opened, offer: gateway.offer, delivery: gateway.delivery, development });
  const sampling = checkSampling({
    statement,
    opened,
    delivered,
    word,
    requestIsSame: content.request.status === "same",
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

  const checks: Check[] = [
    checkRoot(receipt, receiptRoot),
    ...contentChecks(content),
    ...checkClearCopies(statement, opened),
    ...reports.flatMap((r) => r.checks),
    ...gateway.checks,
    payment.check,
    sampling.check,
    ...logged.checks,
    ...searched.checks,
    ...items.checks,
  ];
  const findings: Finding[] = [
    ...reports.flatMap((r) => r.findings),
    payment.finding,
    sampling.finding,
    logged.finding,
  ];
  return concludeVerdict({
    args,
    statement,
    receiptRoot,
    demanded: wanted ?? demanded,
    // The offer is the gateway's own word for what was paid for: a receipt that names less is judged by the offer.
    bought: gateway.offer ? tighten(bought, parsePolicy(gateway.offer.guarantee)) : bought,
    findings,
    checks,
    searched,
    disputed: items.good.some(
      (i) => i.evidence.says === "refutes" && args.trust.auditors.keys.some((k) => k.key === i.evidence.issuer),
    ),
    unmet: gateway.offer?.unmet ?? null,
  });
}

function readSupplied(delivered: Delivered, opened: Opened, statement: Statement): ReadRequest {
  if (delivered.request) return readRequest(delivered);
  const raw = opened.fields.get("rawRequest");
  if (raw?.kind !== "bytes") return undefined;
  try {
    const parsed: ParsedRequest = parseRequest(statement.endpoint, raw.bytes);
    return { parsed };
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return { error };
  }
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
function readItems(receipt: Receipt, receiptRoot: Hex, suite: Suite) {
  const good: {
    envelope: Receipt["statement"];
    evidence: ReturnType<typeof readEvidence>["predicate"];
    blob: Uint8Array | null;
  }[] = [];
  const checks: Check[] = [];
  receipt.evidence.forEach(({ envelope, blob }, i) => {
    const id = `evidence.${i}`;
    const title = "An attached item of evidence is about this receipt and signed by its issuer";
    try {
      const { subject, predicate } = readEvidence(envelope);
      const bytes = blob === null ? null : fromBase64(blob);
      const fits =
        predicate.blob === null ? bytes === null : bytes !== null && sha256Hex(bytes) === predicate.blob.digest;
      const holds = subject === receiptRoot && isSignedBy(envelope, predicate.issuer, suite) && fits;
      checks.push(
        ran(
          id,
          title,
          holds,
          holds
            ? `${predicate.kind}, ${predicate.format}.`
            : "It is about another receipt, altered or not signed; it counts as absent.",
          "EVIDENCE_MISSING",
        ),
      );
      if (holds) good.push({ envelope, evidence: predicate, blob: bytes });
    } catch (error) {
      const known = CountersignError.is(error) || error instanceof RangeError;
      if (!known) throw error;
      checks.push(ran(id, title, false, `It cannot be read: ${error.message.split("\n")[0]}`, "EVIDENCE_MISSING"));
    }
  });
  return { good, checks };
}

/** The gateway's side: the offer it signed and its countersignature over this root. */
function readGateway(
  receipt: Receipt,
  receiptRoot: Hex,
  statement: Statement,
  opened: Opened,
  args: VerifyArgs,
  loggedAt: number | null,
  suite: Suite,
) {
  let offer: Offer | undefined;
  let fault: CountersignError | undefined;
  try {
    offer = receipt.offer ? readOffer(receipt.offer, suite) : undefined;
    // Only the offer that the node committed to is the one that was accepted; any other counts as absent.
    if (offer && committedOffer(opened) !== offerDigest(offer)) {
      throw new CountersignError("OFFER_UNKNOWN", {
        message: "The attached offer is not the one that the receipt commits to.",
      });
    }
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    fault = error;
  }
  const title = "The gateway countersigned this root as delivered";
  const id = "delivery.countersigned";
  let delivery: Delivery | undefined;
  let check: Check;
  const known = (key: Hex, time: number) =>
    standingOfKey({
      key,
      role: "gateway",
      times: [time, loggedAt ?? args.at],
      keys: receipt.keys,
      trust: args.trust,
      suite,
    });
  if (!receipt.delivery) check = notRun(id, title, "No countersignature is attached.");
  else {
    try {
      const read = readDelivery(receipt.delivery);
      const { predicate } = read;
      const faults = [
        read.subject !== receiptRoot && "It is about another receipt.",
        !isSignedBy(receipt.delivery, predicate.gateway, suite) && "Its signature does not check.",
        predicate.network !== statement.network && "It is of another network.",
        (predicate.requestTag !== statement.requestTag || predicate.requestDigest !== statement.requestDigest) &&
          "It is about another request.",
        offer && offer.gateway !== predicate.gateway && "Another gateway made the offer.",
        offer && !fault && offerDigest(offer) !== predicate.offerDigest && "It is about another offer.",
      ].filter((f) => typeof f === "string");
      const standing = known(predicate.gateway, predicate.deliveredAt);
      if (standing.status === "unknown") faults.push(standing.reason);
      check = ran(
        id,
        title,
        faults.length === 0,
        faults[0] ?? `By ${standing.status === "known" ? standing.operator : ""}.`,
        standing.status === "unknown" ? "TRUST_MISSING" : "DOMAIN_MISMATCH",
      );
      if (faults.length === 0) delivery = predicate;
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      check = ran(id, title, false, error.detail.message, error.code);
    }
  }
  const offerKnown = offer ? known(offer.gateway, offer.madeAt).status === "known" : false;
  return {
    offer: fault ? undefined : offer,
    delivery,
    key: delivery?.gateway ?? (fault ? undefined : offer?.gateway),
    checks: [...checkOffer(statement, fault ?? offer, offerKnown), check],
  };
}

function committedOffer(opened: Opened): Hex | undefined {
  const leaf = opened.fields.get("offer");
  if (leaf?.kind !== "bytes") return undefined;
  return offerLeafShape.safeParse(parseCanonical(leaf.bytes)).data?.offer;
}
