import { fromUtf8, toHex } from "@countersign/core";
import type { Collateral } from "../../attestation.ts";
import { parseCrl } from "../../crl.ts";
import { parseReport } from "../../snp/report.ts";
import { type Family, readLevels } from "../../snp/tcb.ts";
import { parseCertificate, readPem } from "../../x509.ts";
import { ask, type Collecting, readAnswer, uncollected } from "./ask.ts";

/** Where AMD's key distribution service is. */
export const amdService = "https://kdsintf.amd.com";

const products: Readonly<Record<Family, string>> = { milan: "Milan", genoa: "Genoa", turin: "Turin" };
/** The service's names of the levels, in the order of its address. */
const levelNames = { fmc: "fmcSPL", bootloader: "blSPL", tee: "teeSPL", snp: "snpSPL", microcode: "ucodeSPL" } as const;

/**
 * Fetches what an SEV-SNP report of a chip's own key (VCEK) is checked with: the chip's certificate at the reported
 * level, AMD's chain above it, and the revocation list. Pieces `amd-endorsement`, `amd-chain`, `amd-crl`.
 *
 * A VLEK's certificate comes from the cloud provider, not from this service. Source: AMD 57230.
 *
 * @param family From the pinned root that the report shall be judged by.
 * @throws TEE_COLLATERAL_UNAVAILABLE; a Fault when the report cannot be read
 */
export async function collectSnp(
  args: Collecting & { readonly report: Uint8Array; readonly family: Family; readonly service?: string },
): Promise<readonly Collateral[]> {
  const { service = amdService, family } = args;
  const base = `${service}/vcek/v1/${products[family]}`;
  const { chipId, tcb, signingKey } = parseReport(args.report);
  if (signingKey !== 0 || chipId.every((b) => b === 0))
    throw uncollected(base, "The report names no chip: its certificate comes from the cloud provider.");
  const levels = readLevels(tcb.reported, family);
  const query = Object.entries(levelNames).flatMap(([name, spelled]) =>
    levels[name] === undefined ? [] : [`${spelled}=${String(levels[name]).padStart(2, "0")}`],
  );
  const id = toHex(family === "turin" ? chipId.subarray(0, 8) : chipId);
  const urls = { endorsement: `${base}/${id}?${query.join("&")}`, chain: `${base}/cert_chain`, list: `${base}/crl` };
  const endorsement = await ask(args, urls.endorsement);
  const chain = await ask(args, urls.chain);
  const list = await ask(args, urls.list);
  readAnswer(urls.endorsement, () => parseCertificate(endorsement.body));
  const above = readAnswer(urls.chain, () => readPem(fromUtf8(chain.body)).map(parseCertificate));
  if (above.length !== 2)
    throw uncollected(urls.chain, `It answered with ${above.length} certificates, not ASK and ARK.`);
  readAnswer(urls.list, () => parseCrl(list.body));
  const pieces: readonly Collateral[] = [
    { kind: "amd-endorsement", data: endorsement.body },
    { kind: "amd-chain", data: chain.body },
    { kind: "amd-crl", data: list.body },
  ];
  for (const { data } of pieces) await args.store.put(data);
  return pieces;
}
