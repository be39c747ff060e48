import { equalBytes, fromBase64, fromHex, fromUtf8, isObject, parseJsonBytes } from "@countersign/core";
import * as z from "zod";
import { type DocumentArgs, fault } from "../attestation.ts";
import { type Certificate, parseCertificate, readPem } from "../x509.ts";
import { type GpuReport, parseReport } from "./spdm.ts";

/** One GPU's report with its certificates, root first. */
export type GpuDocument = { readonly report: GpuReport; readonly chain: readonly Certificate[] };

/** Architectures whose reports look as we read them. */
const architectures = ["HOPPER", "BLACKWELL"] as const;

/** NVIDIA's own serialisation, as its tools write it: a list, here of exactly one GPU. */
const frameShape = z
  .array(
    z.strictObject({
      arch: z.enum(architectures),
      /** Base64 of PEM, leaf first. */
      certificate: z.string().max(65_536),
      /** Base64 of the report. */
      evidence: z.string().max(131_072),
      nonce: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  )
  .length(1);

/** Device certificates stand leaf first: firmware, device, provisioner, architecture, root. */
const chainLength = 5;

/**
 * Reads a GPU's document: NVIDIA's JSON list of one entry, whose certificates come with it; or the bare report, whose
 * certificates are the one piece of collateral `nvidia-chain`.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_EVIDENCE_MISSING, TEE_TRAILING_DATA, TEE_ALG_NOT_ALLOWED, TEE_CHAIN_BROKEN
 */
export function readGpuDocument({ document, collateral }: DocumentArgs): GpuDocument {
  // "[" or white space begins the list, 0x11 (the version) a report.
  if (document[0] === 0x11) {
    const report = parseReport(document);
    const [chain, ...more] = collateral.filter((c) => c.kind === "nvidia-chain");
    if (!chain) return fault("TEE_EVIDENCE_MISSING", "The GPU's certificates are not attached.");
    if (more.length > 0)
      fault("TEE_EVIDENCE_MALFORMED", "Several GPUs' certificates are attached: each must come inside its document.");
    return { report, chain: readChain(fromUtf8(chain.data)) };
  }
  const value = parseJsonBytes(document);
  if (Array.isArray(value) && value.length !== 1 && value.every(isObject))
    fault("TEE_EVIDENCE_MALFORMED", `One document holds one GPU; this one holds ${value.length}.`);
  const read = frameShape.safeParse(value);
  const [entry] = read.success ? read.data : [];
  if (!entry) return fault("TEE_EVIDENCE_MALFORMED", "It is not NVIDIA's list of one GPU.");
  const report = parseReport(fromBase64(entry.evidence));
  // Beside the report nothing is signed: what stands there twice must say the same.
  if (!equalBytes(fromHex(entry.nonce), report.nonce))
    fault("TEE_EVIDENCE_MALFORMED", "The nonce beside the report is not the one inside.");
  return { report, chain: readChain(fromUtf8(fromBase64(entry.certificate))) };
}

function readChain(pem: string): readonly Certificate[] {
  // `\s` takes more than RFC 7468 knows as white space.
  if (!/^[\x20-\x7e\r\n]*$/.test(pem)) fault("TEE_EVIDENCE_MALFORMED", "The certificates are not plain text.");
  const blocks = readPem(pem);
  if (blocks.length !== chainLength)
    fault("TEE_CHAIN_BROKEN", `${blocks.length} certificates are there; a GPU has ${chainLength}.`);
  return blocks.map(parseCertificate).reverse();
}
