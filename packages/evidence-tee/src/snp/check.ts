import { fromUtf8, type Hex, measurementId, toHex } from "@countersign/core";
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
} from "../attestation.ts";
import { checkRevocation, parseCrl } from "../crl.ts";
import { type Certificate, checkChain, checkValidity, parseCertificate, readPem } from "../x509.ts";
import { factsOf } from "./facts.ts";
import { parseReport, type SnpReport } from "./report.ts";
import { type Chain, compareEndorsement, type Endorsed, type Family, readLevels } from "./tcb.ts";

const policyBits = { migrationAgent: 1n << 18n, debug: 1n << 19n, known: (1n << 26n) - 1n } as const;

/**
 * Checks an AMD SEV-SNP attestation report (1184 bytes, versions 2 to 5; Milan, Genoa, Turin; VCEK or VLEK).
 *
 * Collateral: `amd-endorsement` (DER of the VCEK or VLEK), `amd-chain` (PEM of ASK or ASVK, then ARK) and, where
 * revocation is to be judged, `amd-crl` (DER). Roots name the ARK by SHA-256 of its SubjectPublicKeyInfo and the
 * processor family, from which the layout of the levels follows. The report has neither a time nor a nonce of its own:
 * freshness is the statement's that it binds. Levels are rated by the caller's floors alone (`bootloader`, `tee`, `snp`,
 * `microcode`, on Turin `fmc`; `alias-check`, 1 where the firmware made it): with none named the check is not run unless
 * the policy names `unrated`.
 *
 * Source: AMD 56860 (SEV-SNP firmware ABI), AMD 57230 (VCEK certificates and KDS); spec/tee.md.
 */
export const checkSnp: CheckDocument = (args) => {
  const { run, close } = openLedger();
  let report: SnpReport | undefined;
  let chain: Chain | undefined;
  let root: Root | undefined;
  let endorsed: Endorsed | undefined;
  let status = "unrated";
  let authentic = false;
  const read = () => report as SnpReport;
  const certificates = () => chain as Chain;
  const top = () => [certificates().ark, certificates().ask, certificates().leaf];

  run("form", () => {
    report = parseReport(args.document);
    chain = readChain(args);
    return `Version ${report.version}.`;
  });
  run("algorithm", () => requireAlgorithm(read()));
  run("root", () => {
    root = acceptRoot(certificates().ark, "sev-snp", args.roots, "spki");
    if (root.family === undefined)
      fault("TEE_ROOT_UNTRUSTED", `No processor family is named for the root ${root.name}.`);
    return `${root.name}.`;
  });
  run("chain", () => {
    const { leaf } = certificates();
    const why = checkChain(top(), { suite: args.suite, algorithms: ["rsa-pss-sha384"] });
    if (leaf.publicKey.kind !== "ec" || leaf.publicKey.curve !== "P-384")
      fault("TEE_CERT_KEY", "The endorsement key is no P-384 key.");
    return why;
  });
  run("validity", () => checkValidity(top(), args.at));
  run("revocation", () => {
    const list = onlyCollateral(args.collateral, "amd-crl") ?? notRun("No revocation list is attached.");
    const { ark, ask } = certificates();
    // AMD's list is the ARK's: it speaks of intermediates. A VCEK is retired by its levels, and all have the serial 0.
    return checkRevocation(parseCrl(list), ark, [ark, ask], args.at, args.suite);
  });
  run("signature", () => {
    const { signed, signature, unsignedZero } = read();
    if (!unsignedZero) fault("TEE_TRAILING_DATA", "Bytes behind the signature, which nothing signs, are not zero.");
    const key = certificates().leaf.publicKey;
    const holds =
      key.kind === "ec" && args.suite.verifyEcdsa({ curve: "P-384", signature, message: signed, publicKey: key.point });
    if (!holds) fault("TEE_SIGNATURE_INVALID", "The report is not signed by the endorsement key.");
    authentic = true;
    return "Signed by the endorsement key.";
  });
  run("tcb", () => {
    const family = (root as Root).family as Family;
    endorsed = compareEndorsement(read(), certificates(), family);
    if (Object.keys(args.tcb.floors).length > 0) status = "out-of-date";
    status = rate(read(), family, args.tcb.floors);
    if (status !== "unrated") return "Every level named is reached, when it was launched and now.";
    return args.tcb.statuses.includes("unrated")
      ? "The certificate says the same; no least level is named, and that is accepted."
      : notRun("No least level is named to compare the platform's with; the certificate says the same as the report.");
  });
  run("debug", () => {
    const debug = (read().policy & policyBits.debug) !== 0n;
    if (debug && !args.allowDebug) fault("TEE_DEBUG_MODE", "Its policy lets the host read and write its memory.");
    return debug ? "It is on, and that is accepted." : "It is off.";
  });
  run("attributes", () => requireAttributes(read()));
  const registers = report ? { hostData: toHex(report.hostData), measurement: toHex(report.measurement) } : {};
  const measurement: Hex | null = report ? measurementId("sev-snp", registers) : null;
  run("measurement", () => acceptMeasurement(measurement, args));
  run("eventlog", () => notRun("A report has no event log."));
  run("freshness", () => notRun("A report has neither a time nor a nonce of its own: see what it binds."));
  run("binding", () => acceptBinding(read().reportData, args.binding));

  return {
    format: "sev-snp",
    vendor: "AMD",
    assurance: authentic && root ? root.assurance : null,
    debug: report ? (report.policy & policyBits.debug) !== 0n : null,
    tcb: { status, advisories: [], components: endorsed?.levels ?? {} },
    registers,
    measurement,
    facts: report ? factsOf(report, endorsed) : {},
    runtime: {},
    reportData: report?.reportData ?? null,
    producedAt: null,
    attester: authentic ? nameOf(certificates().leaf, endorsed) : null,
    checks: close(),
  } satisfies DocumentReport;
};

function readChain({ collateral }: DocumentArgs): Chain {
  const endorsement = onlyCollateral(collateral, "amd-endorsement");
  const above = onlyCollateral(collateral, "amd-chain");
  if (!endorsement || !above)
    return fault(
      "TEE_EVIDENCE_MISSING",
      "The certificate of the endorsement key, or those above it, are not attached.",
    );
  const [ask, ark, ...more] = readPem(fromUtf8(above)).map(parseCertificate);
  if (!ask || !ark || more.length > 0)
    return fault("TEE_EVIDENCE_MALFORMED", "Above the endorsement key stand two certificates: ASK or ASVK, then ARK.");
  return { ark, ask, leaf: parseCertificate(endorsement) };
}

function requireAlgorithm({ signatureAlgorithm, signingKey, maskChipKey }: SnpReport): string {
  if (signatureAlgorithm !== 1)
    fault("TEE_ALG_NOT_ALLOWED", `The number of its algorithm is ${signatureAlgorithm}, not 1.`);
  if (signingKey > 1) fault("TEE_ALG_NOT_ALLOWED", `No key of a known kind signed it (${signingKey}).`);
  // Firmware with the chip's key masked writes zeros for a signature.
  if (signingKey === 0 && maskChipKey) fault("TEE_ALG_NOT_ALLOWED", "It says that the chip's key may not sign.");
  return `ECDSA P-384 by a ${signingKey === 0 ? "VCEK" : "VLEK"}.`;
}

/** The floors apply to what is reported, to what firmware can be rolled back to, and to what the guest was launched on. */
function rate(report: SnpReport, family: Family, floors: Readonly<Record<string, number>>): "unrated" | "up-to-date" {
  const named = Object.entries(floors);
  const aliasCheck = Number((report.platformInfo >> 5n) & 1n);
  for (const which of ["reported", "committed", "launch"] as const) {
    const levels: Readonly<Record<string, number>> = {
      ...readLevels(report.tcb[which], family),
      "alias-check": aliasCheck,
    };
    for (const [name, least] of named) {
      const level = Object.hasOwn(levels, name) ? (levels[name] as number) : undefined;
      if (level === undefined)
        fault("TEE_TCB_OUT_OF_DATE", `A least level is named for ${name}, which ${family} has not.`);
      else if (!(level >= least)) fault("TEE_TCB_OUT_OF_DATE", `${name}, ${which}: ${level} is less than ${least}.`);
    }
  }
  return named.length === 0 ? "unrated" : "up-to-date";
}

function requireAttributes({ policy, vmpl, authorKeyEnabled, authorKeyDigest }: SnpReport): string {
  const refuse = (why: string) => fault("TEE_ATTRIBUTES_NOT_ALLOWED", why);
  if (policy & policyBits.migrationAgent) refuse("A migration agent may take its memory elsewhere.");
  if (policy & ~policyBits.known) refuse("Its policy has bits of a meaning that is not known.");
  // Less privileged code than what was measured: or the host itself, which is 0xffffffff.
  if (vmpl !== 0) refuse(`It was asked for at privilege level ${vmpl}, not 0.`);
  // Who signed the launch adds nothing to what was launched; but a digest that the firmware does not stand for misleads.
  if (!authorKeyEnabled && authorKeyDigest.some((b) => b !== 0)) refuse("It names an author's key that is not in use.");
  return "No migration agent, privilege level 0.";
}

/** The chip, or the provider's key where the chip is masked. */
function nameOf(leaf: Certificate, endorsed: Endorsed | undefined): string | null {
  if (!endorsed) return null;
  return endorsed.chip === null ? `sev-snp:vlek:${toHex(sha256(leaf.spki))}` : `sev-snp:chip:${endorsed.chip}`;
}
