import { equalBytes, gpuNonce, measurementId, toHex } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { acceptMeasurement, acceptRoot } from "../acceptance.ts";
import { type CheckDocument, type DocumentReport, fault, notRun, openLedger, type Root } from "../attestation.ts";
import { type Certificate, checkChain, checkValidity, keyUses } from "../x509.ts";
import { type GpuDocument, readGpuDocument } from "./document.ts";
import { firmwareOf } from "./firmware-identity.ts";
import { readBoard, readFirmwareIdentity, readVersions } from "./spdm.ts";

/**
 * Checks the evidence of one NVIDIA GPU: signed measurements of SPDM 1.1 (Hopper, Blackwell).
 *
 * It shows that a genuine GPU signed this nonce and these versions. It does not show that confidential computing is on,
 * nor that the measured firmware is the vendor's: that takes NVIDIA's reference manifests and OCSP, so `revocation` and
 * `tcb` are not run; `measurement` compares the driver's and the VBIOS's version with the accepted pairs and nothing
 * else. The GPU belongs to a CPU's document through its nonce alone (`gpuNonce`).
 *
 * Source: DMTF DSP0274 1.1; NVIDIA nvtrust; spec/tee.md.
 */
export const checkNvidia: CheckDocument = (args) => {
  const { run, close } = openLedger();
  let read: GpuDocument | undefined;
  let versions: ReturnType<typeof readVersions> | undefined;
  let facts: Readonly<Record<string, string>> = {};
  let root: Root | undefined;
  let authentic = false;
  const document = () => read as GpuDocument;
  const leaf = () => document().chain.at(-1) as Certificate;

  run("form", () => {
    read = readGpuDocument(args);
    versions = readVersions(read.report);
    facts = factsOf(read);
    return `${read.report.blocks.size} measurements.`;
  });
  run("algorithm", () => {
    const { publicKey } = leaf();
    if (publicKey.kind !== "ec" || publicKey.curve !== "P-384")
      fault("TEE_ALG_NOT_ALLOWED", "The GPU's key is no P-384 key.");
    return "ECDSA P-384, digests of SHA-384.";
  });
  run("root", () => {
    root = acceptRoot(document().chain[0] as Certificate, "nvidia", args.roots);
    return `${root.name}.`;
  });
  run("chain", () => {
    const why = checkChain(document().chain, { suite: args.suite, algorithms: ["ecdsa-sha384"] });
    const { keyUsage } = leaf();
    if (keyUsage === null || !(keyUsage & keyUses.digitalSignature))
      fault("TEE_CERT_KEY", "The GPU's key is not for signatures.");
    return why;
  });
  run("validity", () => checkValidity(document().chain, args.at));
  run("revocation", () =>
    notRun("No answer of NVIDIA's OCSP service is supplied; the certificates run to the year 9999."),
  );
  run("signature", () => {
    const { signed: message, signature } = document().report;
    const key = leaf().publicKey;
    const holds =
      key.kind === "ec" && args.suite.verifyEcdsa({ curve: "P-384", signature, message, publicKey: key.point });
    if (!holds) fault("TEE_SIGNATURE_INVALID", "The report is not signed by the GPU's key.");
    authentic = true;
    return "Signed by the GPU's key.";
  });
  run("tcb", () => notRun("NVIDIA rates firmware in its reference manifests (RIM), and none is supplied."));
  run("debug", () => notRun("The report does not say it; NVIDIA's reference manifests do, and none is supplied."));
  run("attributes", () => {
    const reported = readFirmwareIdentity(document().report);
    if (!reported) return notRun("The report does not name the firmware that signed it.");
    const certified = firmwareOf(leaf());
    if (certified === null) return notRun("The certificate does not name the firmware that its key belongs to.");
    if (!certified.includes(toHex(reported)))
      fault("TEE_GPU_MEASUREMENT", "The firmware that signed is not the one that the key was certified for.");
    return "The key was certified for the firmware that signed.";
  });
  const measurement = versions ? measurementId("nvidia", versions) : null;
  run("measurement", () => {
    if (args.measurements === null)
      return notRun("Nobody asks for versions, and no reference manifest (RIM) is supplied for the measurements.");
    return `${acceptMeasurement(measurement, args)} The measurements themselves are not compared with NVIDIA's.`;
  });
  run("eventlog", () => notRun("A GPU has no event log."));
  run("freshness", () => {
    if (args.nonce === null) return notRun("A report has no time of its own, and nobody asks for a nonce.");
    return requireNonce(document().report.nonce, args.nonce);
  });
  run("binding", () => {
    if (args.binding === null) return notRun("Nobody asks what it attests; the CPU's document is bound by the nonce.");
    return requireNonce(document().report.nonce, gpuNonce(args.binding));
  });

  return {
    format: "nvidia",
    vendor: "NVIDIA",
    assurance: authentic && root ? root.assurance : null,
    debug: null,
    tcb: { status: "unrated", advisories: [], components: { ...versions } },
    registers: { ...versions },
    measurement,
    facts,
    runtime: read ? { record: toHex(sha256(read.report.record)) } : {},
    reportData: read?.report.nonce ?? null,
    producedAt: null,
    attester: authentic ? nameOf(document().chain) : null,
    checks: close(),
  } satisfies DocumentReport;
};

function requireNonce(found: Uint8Array, wanted: Uint8Array): string {
  return equalBytes(found, wanted)
    ? "It answers the nonce that belongs to this statement."
    : fault("TEE_GPU_NOT_BOUND", "The GPU answered another nonce: its evidence may come from another machine.");
}

/**
 * The device by its certificate's issuer and serial. The leaf is another one with each firmware, so that one GPU could
 * pass for two by its name.
 */
function nameOf(chain: readonly Certificate[]): string | null {
  const [provisioner, device] = chain.slice(-3, -1);
  return device && provisioner ? `nvidia:${toHex(sha256(provisioner.spki))}:${device.serial}` : null;
}

const factsOf = ({ report, chain }: GpuDocument): Readonly<Record<string, string>> => ({
  ...readBoard(report),
  chip: chain.at(-1)?.commonName ?? "",
  /** NVIDIA's tokens name the GPU by this number, in decimal. */
  ueid: BigInt(`0x${chain.at(-1)?.serial ?? "0"}`).toString(),
});
