import { equalBytes, type Hex, measurementId, toHex } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { acceptBinding, acceptMeasurement, acceptRoot } from "../acceptance.ts";
import { type CheckDocument, type DocumentArgs, fault, notRun, openLedger, type Root } from "../attestation.ts";
import { type Certificate, checkChain, checkValidity, keyUses } from "../x509.ts";
import { applicationHash, type NitroDocument, readNitroDocument } from "./document.ts";

/** COSE's ECDSA with SHA-384 (RFC 9053 §2.1). */
const es384 = -35;
/** Milliseconds that a document's clock may be ahead of ours. */
const skew = 60_000;

/**
 * Checks an AWS Nitro Enclaves attestation document: COSE_Sign1 with ES384, untagged or tagged 18, at most 16 KiB.
 *
 * No collateral: the chain stands in the document and its first certificate must be a pinned root, by SHA-256 of its
 * DER; the others are believed for nothing but the links that they sign. Registers `pcr0` (image), `pcr1` (kernel),
 * `pcr2` (application) and, where it is not zero, `pcr8` (who signed the image) stand for the code; `pcr16` and above
 * are what was measured at run time. The statement is looked for in the user data: 32 bytes, or those with zeros behind
 * (dstack), or the second hash of nitriding's two.
 *
 * Source: AWS, "Nitro Enclaves attestation process"; RFC 9052; spec/tee.md.
 */
export const checkNitro: CheckDocument = (args) => {
  const { run, close } = openLedger();
  let document: NitroDocument | undefined;
  let root: Root | undefined;
  let authentic = false;
  // After a failure no check runs, so that these are there wherever they are asked for.
  const read = () => document as NitroDocument;

  run("form", () => {
    document = readNitroDocument(args.document);
    return `Module ${document.moduleId}.`;
  });
  run("algorithm", () => {
    const { algorithm, digest } = read();
    if (algorithm !== es384) fault("TEE_ALG_NOT_ALLOWED", `COSE algorithm ${algorithm ?? "unknown"}, not ${es384}.`);
    if (digest !== "SHA384") fault("TEE_ALG_NOT_ALLOWED", "Its registers are not of SHA-384.");
    return "ES384, registers of SHA-384.";
  });
  run("root", () => {
    root = acceptRoot(read().certificates[0] as Certificate, "nitro", args.roots);
    return `${root.name}.`;
  });
  run("chain", () => checkLinks(read().certificates, args));
  run("validity", () => checkValidity(read().certificates, args.at));
  run("revocation", () => notRun("AWS publishes no list for these certificates, which live hours."));
  run("signature", () => {
    const { certificates, signature, signed } = read();
    const key = certificates.at(-1)?.publicKey;
    const holds =
      key?.kind === "ec" &&
      args.suite.verifyEcdsa({ curve: "P-384", signature, message: signed, publicKey: key.point });
    if (!holds) fault("TEE_SIGNATURE_INVALID", "The document is not signed by its certificate's key.");
    authentic = true;
    return "Signed by the leaf's key.";
  });
  run("tcb", () => notRun("The vendor manages the firmware, and the document does not show it."));
  run("debug", () => {
    if (!isDebug(read())) return "PCR 0, 1 and 2 are measured.";
    return args.allowDebug
      ? "Debug mode, which the caller accepts."
      : fault("TEE_DEBUG_MODE", "PCR 0, 1 or 2 is zero: in debug mode nothing is measured.");
  });
  run("measurement", () => acceptMeasurement(measurementOf(read()), args));
  run("freshness", () => checkFreshness(read(), args));
  run("binding", () => acceptBinding(reportDataOf(read()) ?? new Uint8Array(), args.binding));

  const leaf = document?.certificates.at(-1);
  return {
    format: "nitro",
    vendor: "AWS",
    assurance: authentic ? (root?.assurance ?? null) : null,
    debug: document ? isDebug(document) : null,
    tcb: { status: "vendor-managed", advisories: [], components: {} },
    registers: document ? codeRegisters(document) : {},
    measurement: document ? measurementOf(document) : null,
    facts: document ? factsOf(document) : {},
    runtime: document ? registersOf(document, (index) => index >= 16) : {},
    reportData: document?.userData ?? null,
    producedAt: document?.timestamp ?? null,
    attester: leaf ? `nitro:${toHex(sha256(leaf.issuer))}:${leaf.serial}` : null,
    checks: close(),
  };
};

function checkLinks(chain: readonly Certificate[], { suite }: DocumentArgs): string {
  for (const { publicKey: key, commonName } of chain)
    if (key.kind !== "ec" || key.curve !== "P-384")
      fault("TEE_CERT_KEY", `${commonName ?? "A certificate"} has no key of P-384.`);
  const why = checkChain(chain, { suite, algorithms: ["ecdsa-sha384"] });
  // A leaf of the same root whose key is for something else must not speak for an enclave.
  const leaf = chain.at(-1) as Certificate;
  if (leaf.keyUsage === null || !(leaf.keyUsage & keyUses.digitalSignature))
    fault("TEE_CERT_KEY", "The leaf's key is not for signing.");
  return why;
}

const isZero = (bytes: Uint8Array | undefined) => bytes === undefined || bytes.every((b) => b === 0);
const isDebug = ({ pcrs }: NitroDocument): boolean => [0, 1, 2].some((index) => isZero(pcrs.get(index)));

const registersOf = ({ pcrs }: NitroDocument, wanted: (index: number, register: Uint8Array) => boolean) =>
  Object.fromEntries([...pcrs].filter(([i, r]) => wanted(i, r)).map(([i, r]) => [`pcr${i}`, toHex(r)]));
const codeRegisters = (document: NitroDocument): Readonly<Record<string, Hex>> =>
  registersOf(document, (index, register) => index <= 2 || (index === 8 && !isZero(register)));
const measurementOf = (document: NitroDocument): Hex => measurementId("nitro", codeRegisters(document));

function factsOf(document: NitroDocument): Readonly<Record<string, string>> {
  const { moduleId, publicKey, nonce } = document;
  return {
    moduleId,
    ...(publicKey && { publicKey: toHex(publicKey) }),
    ...(nonce && { nonce: toHex(nonce) }),
    // The role and the instance of the host: PCR 3 and 4, zero where they were not asked for.
    ...registersOf(document, (index, register) => (index === 3 || index === 4) && !isZero(register)),
  };
}

/** Bytes that the application chose: all user data, or its part of what nitriding composed. */
const reportDataOf = ({ userData }: NitroDocument): Uint8Array | null =>
  userData && (applicationHash(userData) ?? userData);

function checkFreshness({ nonce, timestamp }: NitroDocument, args: DocumentArgs): string {
  if (args.nonce !== null) {
    // A short nonce is answered by documents that were made for others, or beforehand.
    if (args.nonce.length < 16) fault("TEE_NONCE_MISMATCH", "A nonce of fewer than 16 bytes can be guessed.");
    if (nonce === null || !equalBytes(nonce, args.nonce)) fault("TEE_NONCE_MISMATCH", "It answers another nonce.");
    return "It answers our nonce.";
  }
  const age = args.at - timestamp;
  // Put so that a time that is no number fails.
  if (!(age >= -skew)) fault("TEE_FROM_FUTURE", `It was made at ${new Date(timestamp).toISOString()}.`);
  if (!(age <= args.maxAge)) fault("TEE_STALE", `It was made at ${new Date(timestamp).toISOString()}.`);
  return `It is ${Math.max(0, Math.round(age / 1000))} s old.`;
}
