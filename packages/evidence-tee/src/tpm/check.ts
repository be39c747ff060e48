import { equalBytes, type Hex, measurementId, toHex } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { acceptMeasurement, acceptRoot, onlyCollateral } from "../acceptance.ts";
import { type CheckDocument, type DocumentReport, fault, notRun, openLedger, type Root } from "../attestation.ts";
import { type Certificate, checkChain, checkValidity } from "../x509.ts";
import { digestOf, namedRegisters, type Registers, readDocument, replay, type TpmDocument } from "./document.ts";
import { type AttestationKey, extendedKeyUsageId, readAttestationKey, requireAttestationKeyUse } from "./key.ts";
import { algorithms, parseQuote, parseSignature, type TpmQuote, type TpmSignature } from "./quote.ts";

const chainAlgorithms = ["ecdsa-sha256", "ecdsa-sha384", "rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pss-sha384"];
const bareKey = "The key is attached without a certificate: nothing shows that a TPM holds it.";

/**
 * Checks a TPM 2.0 quote over the SHA-256 bank of PCR 0 to 15, signed with ECDSA P-256 and SHA-256.
 *
 * Document: canonical JSON `{"format":"countersign/tpm-quote/v1","pcrs"?:{"8":"<64 hex>",…},"quote":"<base64 of
 * TPMS_ATTEST>","signature":"<base64 of TPMT_SIGNATURE>"}`. Collateral: `tpm-key` (PEM of the attestation key, or of its
 * certificate and those above it, root last) and optionally `event-log` (canonical JSON array of `{digest, event?,
 * payload?, pcr}`). The binding, or the nonce, is the quote's extraData, whole. A quote holds only a digest of its
 * registers, so either their values or the event log must give them. Registers 16 and up can be reset or belong to
 * others, and are refused. Without certificates `root` and `chain` do not run: a software TPM looks the same.
 *
 * Source: TCG TPM 2.0 Library, Part 2; TCG PC Client Platform TPM Profile; spec/tee.md.
 */
export const checkTpm: CheckDocument = (args) => {
  const { run, close } = openLedger();
  let parts: TpmDocument | undefined;
  let quote: TpmQuote | undefined;
  let signature: TpmSignature | undefined;
  let key: AttestationKey | undefined;
  let root: Root | undefined;
  let registers: Registers | undefined;
  let authentic = false;
  const read = () => quote as TpmQuote;
  const chain = (): readonly Certificate[] => (key as AttestationKey).chain ?? notRun(bareKey);
  const selected = () => (read().selections[0] as TpmQuote["selections"][number]).pcrs;
  const fromLog = (): Registers | undefined => {
    const log = onlyCollateral(args.collateral, "event-log");
    return log && replay(log, selected());
  };
  const requireDigest = (values: Registers) => {
    if (!equalBytes(digestOf(values, selected()), read().digest))
      fault("TEE_EVENTLOG_MISMATCH", "Replayed, the log gives other registers than those that are signed.");
  };

  run("form", () => {
    parts = readDocument(args.document);
    quote = parseQuote(parts.quote);
    signature = parseSignature(parts.signature);
    key = readAttestationKey(args.collateral);
    return "One quote and its signature.";
  });
  run("algorithm", () => requireAlgorithms(signature as TpmSignature, read()));
  run("root", () => {
    root = acceptRoot(chain()[0] as Certificate, "tpm2", args.roots);
    return `${root.name}.`;
  });
  run("chain", () => {
    const certificates = chain();
    requireAttestationKeyUse(certificates.at(-1) as Certificate);
    return checkChain(certificates, { suite: args.suite, algorithms: chainAlgorithms, critical: [extendedKeyUsageId] });
  });
  run("validity", () => checkValidity(chain(), args.at));
  run("revocation", () => notRun("No revocation list is read for TPM keys."));
  run("signature", () => {
    const { point } = key as AttestationKey;
    const [message, bytes] = [(parts as TpmDocument).quote, (signature as TpmSignature).bytes];
    const holds = bytes && args.suite.verifyEcdsa({ curve: "P-256", signature: bytes, message, publicKey: point });
    if (!holds) fault("TEE_SIGNATURE_INVALID", "The quote is not signed by the attestation key.");
    registers = coveredRegisters((parts as TpmDocument).registers, read(), selected());
    authentic = true;
    return registers ? "Signed, and the registers have the signed digest." : "Signed.";
  });
  run("tcb", () => notRun("Nobody rates the level of a TPM's firmware."));
  run("debug", () => notRun("A TPM has no debug mode."));
  run("attributes", () => {
    const open = selected().filter((i) => i >= 16);
    if (open.length > 0)
      fault("TEE_ATTRIBUTES_NOT_ALLOWED", `Register ${open[0]} can be reset while the machine runs: it shows nothing.`);
    return "No register that can be reset without starting anew.";
  });
  run("measurement", () => {
    if (!registers) {
      const values = fromLog();
      if (values) {
        requireDigest(values);
        registers = values;
      }
    }
    return acceptMeasurement(registers ? measurementId("tpm2", namedRegisters(registers)) : null, args);
  });
  run("eventlog", () => {
    const values = fromLog() ?? notRun("No event log is attached.");
    requireDigest(values);
    return `Replayed, it gives the ${values.size} signed registers.`;
  });
  run("freshness", () => {
    if (args.nonce === null) return notRun("A quote has no time of day: only a nonce shows that it is fresh.");
    if (!equalBytes(read().extraData, args.nonce)) fault("TEE_NONCE_MISMATCH", "It answers another nonce.");
    return "It answers our nonce.";
  });
  run("binding", () => {
    if (args.binding === null) return notRun("Nobody asks what it attests.");
    if (!equalBytes(read().extraData, args.binding))
      fault("TEE_REPORT_DATA_MISMATCH", "It carries other bytes than the digest of this statement.");
    return "It carries the digest of this statement.";
  });

  const named = registers ? namedRegisters(registers) : {};
  const measurement: Hex | null = registers ? measurementId("tpm2", named) : null;
  return {
    format: "tpm2",
    vendor: "TPM",
    assurance: authentic && root ? root.assurance : null,
    debug: null,
    tcb: { status: "unrated", advisories: [], components: quote ? { firmware: quote.firmware } : {} },
    registers: named,
    measurement,
    facts: quote ? factsOf(quote) : {},
    runtime: {},
    reportData: quote?.extraData ?? null,
    producedAt: null,
    attester: authentic ? `tpm2:${toHex(sha256((key as AttestationKey).point))}` : null,
    checks: close(),
  } satisfies DocumentReport;
};

function requireAlgorithms({ scheme, hash, bytes }: TpmSignature, { selections }: TpmQuote): string {
  if (bytes === null)
    fault("TEE_ALG_NOT_ALLOWED", `It is signed with algorithms ${scheme} and ${hash}, not 24 and 11.`);
  const [bank, ...more] = selections;
  if (!bank || more.length > 0 || bank.pcrs.length === 0)
    fault("TEE_EVIDENCE_MALFORMED", "It does not select registers of exactly one bank.");
  else if (bank.hash !== algorithms.sha256)
    fault("TEE_ALG_NOT_ALLOWED", `It is over bank ${bank.hash}, not SHA-256's.`);
  return "ECDSA P-256 with SHA-256, over the bank of SHA-256.";
}

/** The registers that stand beside the quote, once it is certain that they are those whose digest is signed. */
function coveredRegisters(
  given: Registers | null,
  quote: TpmQuote,
  selected: readonly number[],
): Registers | undefined {
  if (!given) return undefined;
  if (given.size !== selected.length)
    fault("TEE_TRAILING_DATA", "Registers stand beside the quote that it does not hold.");
  if (!equalBytes(digestOf(given, selected), quote.digest))
    fault("TEE_SIGNATURE_INVALID", "The registers beside the quote are not those whose digest is signed.");
  return given;
}

function factsOf({ signer, clock, selections, digest }: TpmQuote): Readonly<Record<string, string>> {
  return {
    signer: toHex(signer),
    clock: String(clock.time),
    resets: String(clock.resets),
    restarts: String(clock.restarts),
    clockSafe: String(clock.safe),
    selected: selections.map((s) => s.pcrs.join(",")).join(";"),
    digest: toHex(digest),
  };
}
