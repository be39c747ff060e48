import { concat, equalBytes, measurementId, type Suite } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { acceptBinding, acceptMeasurement, acceptRoot, onlyCollateral } from "../acceptance.ts";
import {
  type CheckDocument,
  type DocumentArgs,
  type DocumentReport,
  fault,
  notRun,
  openLedger,
  type Root,
  type TcbPolicy,
} from "../attestation.ts";
import { rememberVendorSignatures } from "../remember.ts";
import { type Certificate, checkValidity, parseCertificate } from "../x509.ts";
import { checkAttributes, isDebug } from "./attributes.ts";
import { readCollateral } from "./collateral.ts";
import { checkEvents } from "./eventlog.ts";
import { judgePlatform, judgeQe, policyWord, type Standing } from "./level.ts";
import { readPlatform } from "./pck.ts";
import { parseQuote, type Quote } from "./quote.ts";
import { attesterOf, componentsOf, type Found, factsOf, registersOf } from "./report.ts";
import { checkIntelChain, checkLists, checkRole, readSigned } from "./signers.ts";

type Kind = "tdx" | "sgx";
/** Intel's own quoting enclaves; there are no others whose identity Intel publishes. */
const intelQe = "939a7233f79c4ca9940a0db3957f0607";
/** Names of the floors that a policy may set. */
export const floorNames = ["tcbEvaluationDataNumber", "pceSvn", "qeSvn"] as const;

/** Takes what an earlier check found; a check that comes too early is a failure, never a pass. */
const need = <T>(value: T | undefined): T => value ?? fault("TEE_CHECK_SKIPPED", "An earlier check did not run.");

/**
 * Checks an Intel TDX quote (version 4 or 5) with its collateral.
 *
 * The collateral of the kind `dcap` is described at `collateralShape`; one of the kind `event-log` is dstack's JSON.
 */
export const checkTdx: CheckDocument = (args) => checkDcap("tdx", args);

/** Checks an Intel SGX quote (version 3, 4 or 5) with its collateral; see `checkTdx`. */
export const checkSgx: CheckDocument = (args) => checkDcap("sgx", args);

function checkDcap(kind: Kind, args: DocumentArgs): DocumentReport {
  const { at } = args;
  // The root's signature over itself and over its list is asked for with each chain: once is enough.
  const suite = rememberVendorSignatures(args.suite);
  const ledger = openLedger();
  const found: Found = {};
  let assurance: Root["assurance"] | null = null;
  ledger.run("form", () => readForm(kind, args.document, found));
  ledger.run("algorithm", () => checkAlgorithm(need(found.quote)));
  ledger.run("root", () => {
    found.root = acceptRoot(need(found.chain)[0], kind, args.roots);
    return `${found.root.name}.`;
  });
  ledger.run("chain", () => {
    const [, ca, leaf] = need(found.chain);
    const why = checkIntelChain(need(found.chain), suite);
    checkRole(ca, "pckCa");
    checkRole(leaf, "pck");
    return why;
  });
  ledger.run("validity", () => checkValidity(need(found.chain), at));
  ledger.run("revocation", () => {
    const data = onlyCollateral(args.collateral, "dcap");
    if (!data) return fault("TEE_REVOCATION_UNKNOWN", "There is no collateral, and so no revocation list.");
    const chain = need(found.chain);
    found.collateral = readCollateral(data);
    found.rootList = checkLists(chain, found.collateral, { root: chain[0], at, suite });
    return "Neither the platform's certificate nor its CA is on Intel's lists.";
  });
  ledger.run("signature", () => checkSignatures(need(found.quote), need(found.chain)[2], suite));
  if (!ledger.failed() && found.root) assurance = found.root.assurance;
  ledger.run("tcb", () => judgeTcb(found, { ...args, suite }));
  ledger.run("debug", () => {
    if (!isDebug(need(found.quote).body)) return "It is off.";
    return args.allowDebug ? "It is on, and is looked at nevertheless." : fault("TEE_DEBUG_MODE", "It is on.");
  });
  ledger.run("attributes", () => checkAttributes(need(found.quote).body));
  const registers = found.quote ? registersOf(found.quote.body) : {};
  const measurement = found.quote ? measurementId(kind, registers) : null;
  ledger.run("measurement", () => acceptMeasurement(measurement, args));
  ledger.run("eventlog", () => {
    const log = onlyCollateral(args.collateral, "event-log");
    if (!log) return notRun("There is no event log.");
    const { body } = need(found.quote);
    if (body.kind !== "tdx") return notRun("An SGX enclave has no registers that a log could give.");
    found.events = checkEvents(log, body.rtmrs);
    return `It gives RTMR0 to RTMR3; ${found.events.length} events are RTMR3's.`;
  });
  ledger.run("freshness", () => notRun("A quote holds neither a time nor a nonce but the one inside what it binds."));
  ledger.run("binding", () => acceptBinding(need(found.quote).body.reportData, args.binding));
  return {
    format: kind,
    vendor: "Intel",
    assurance,
    debug: found.quote ? isDebug(found.quote.body) : null,
    tcb: {
      status: found.standing ? policyWord(found.standing.status) : "unrated",
      advisories: found.standing?.advisories ?? [],
      components: componentsOf(found),
    },
    registers,
    measurement,
    facts: factsOf(found),
    runtime: found.quote?.body.kind === "tdx" ? { rtmr3: found.quote.body.rtmrs[3] } : {},
    reportData: found.quote?.body.reportData ?? null,
    producedAt: null,
    attester: attesterOf(found),
    checks: ledger.close(),
  };
}

function readForm(kind: Kind, document: Uint8Array, found: Found): string {
  const quote = parseQuote(document);
  if (quote.body.kind !== kind) fault("TEE_EVIDENCE_MALFORMED", `It is a quote of ${quote.body.kind}, not of ${kind}.`);
  const [leaf, ca, root, ...rest] = quote.chain.map(parseCertificate);
  if (!leaf || !ca || !root || rest.length > 0)
    return fault("TEE_CHAIN_BROKEN", `The PCK chain has ${quote.chain.length} certificates and not three.`);
  found.quote = quote;
  found.chain = [root, ca, leaf];
  return `A quote of version ${quote.version}.`;
}

function checkAlgorithm({ keyType, qeVendor }: Quote): string {
  if (keyType !== 2) fault("TEE_ALG_NOT_ALLOWED", `The attestation key is of type ${keyType}, not ECDSA over P-256.`);
  if (qeVendor !== intelQe) fault("TEE_QE_IDENTITY", "The quoting enclave is another vendor's than Intel.");
  return "ECDSA over P-256, Intel's quoting enclave.";
}

/** PCK key → report of the quoting enclave → attestation key → quote. @throws TEE_SIGNATURE_INVALID */
function checkSignatures(quote: Quote, pck: Certificate, suite: Suite): string {
  const holds = (message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array) =>
    suite.verifyEcdsa({ curve: "P-256", message, signature, publicKey });
  const refuse = (why: string): never => fault("TEE_SIGNATURE_INVALID", why);
  const { attestationKey, qe, qeAuthData, qeReport } = quote;
  if (pck.publicKey.kind !== "ec" || !holds(qeReport, quote.qeSignature, pck.publicKey.point))
    refuse("The quoting enclave's report is not signed by the platform's key.");
  const bound = concat(sha256(concat(attestationKey, qeAuthData)), new Uint8Array(32));
  if (!equalBytes(qe.reportData, bound)) refuse("The quoting enclave's report names another attestation key.");
  if (!holds(quote.signed, quote.signature, concat(Uint8Array.of(4), attestationKey)))
    refuse("The quote is not signed by the attestation key.");
  return "The platform's key signed the quoting enclave's report, whose key signed the quote.";
}

function judgeTcb(found: Found, { at, suite, tcb: policy }: DocumentArgs): string {
  const [quote, chain] = [need(found.quote), need(found.chain)];
  const platform = readPlatform(chain[2]);
  found.platform = platform;
  const { info, identity } = readSigned(need(found.collateral), need(found.rootList), { root: chain[0], at, suite });
  found.info = info;
  found.identity = identity;
  if (info.fmspc.toLowerCase() !== platform.fmspc || info.pceId.toLowerCase() !== platform.pceId)
    fault("TEE_TCB_CERT_MISMATCH", `TCB info is of the family ${info.fmspc}, the platform of ${platform.fmspc}.`);
  if (identity.id !== (quote.body.kind === "tdx" ? "TD_QE" : "QE"))
    fault("TEE_QE_IDENTITY", `The identity is that of ${identity.id}.`);
  const standing = judgePlatform(platform, quote.body, info, judgeQe(quote.qe, identity));
  found.standing = standing;
  requireFloors(policy, {
    tcbEvaluationDataNumber: Math.min(info.tcbEvaluationDataNumber, identity.tcbEvaluationDataNumber),
    pceSvn: platform.pceSvn,
    qeSvn: quote.qe.isvSvn,
  });
  return acceptStanding(standing, policy);
}

/** @throws TEE_COLLATERAL_EXPIRED when Intel's data is of an older recovery, TEE_TCB_OUT_OF_DATE */
function requireFloors({ floors }: TcbPolicy, values: Readonly<Record<(typeof floorNames)[number], number>>): void {
  for (const [name, least] of Object.entries(floors)) {
    // A floor that cannot be compared is not met.
    const known =
      floorNames.find((n) => n === name) ??
      fault("TEE_TCB_OUT_OF_DATE", `The policy sets a floor for ${name}, which a quote has not.`);
    const code = known === "tcbEvaluationDataNumber" ? "TEE_COLLATERAL_EXPIRED" : "TEE_TCB_OUT_OF_DATE";
    if (!(values[known] >= least)) fault(code, `${known} is ${values[known]}, under the floor of ${least}.`);
  }
}

/** @throws TEE_TCB_REVOKED, TEE_TCB_OUT_OF_DATE */
function acceptStanding({ status, advisories }: Standing, policy: TcbPolicy): string {
  const word = policyWord(status);
  // No list of a policy reaches this one.
  if (status === "Revoked") fault("TEE_TCB_REVOKED", "Intel revoked this level.");
  if (status !== "UpToDate" && !policy.statuses.includes(word))
    fault("TEE_TCB_OUT_OF_DATE", `It is ${word}${advisories.length > 0 ? ` (${advisories.join(", ")})` : ""}.`);
  const news = advisories.filter((id) => !policy.advisories.includes(id));
  if (news.length > 0) fault("TEE_TCB_OUT_OF_DATE", `Advisories that the policy does not accept: ${news.join(", ")}.`);
  return `It is ${word}.`;
}
