import { isObject, parseJsonBytes } from "@countersign/core";
import type { Collateral } from "../../attestation.ts";
import { parseCrl } from "../../crl.ts";
import { packCollateral, readCollateral, readQeIdentity, readTcbInfo } from "../../dcap/collateral.ts";
import { readPlatform } from "../../dcap/pck.ts";
import { parseQuote } from "../../dcap/quote.ts";
import { parseCertificate, readPem } from "../../x509.ts";
import { type Answer, ask, type Collecting, readAnswer, uncollected } from "./ask.ts";

/** Where Intel's provisioning certification service and its certificates are; a mirror has the same paths. */
export const intelService = {
  service: "https://api.trustedservices.intel.com",
  rootList: "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
} as const;

/**
 * Fetches what a TDX or SGX quote is checked with: TCB info, the quoting enclave's identity, the chains of both and of
 * the revocation lists from the answers' headers, and both lists. One piece of the kind `dcap`.
 *
 * Nothing here judges: signatures and times are the check's. Source: Intel PCS API v4.
 *
 * @throws TEE_COLLATERAL_UNAVAILABLE; a Fault when the quote cannot be read
 */
export async function collectDcap(
  args: Collecting & {
    readonly quote: Uint8Array;
    readonly service?: string;
    readonly rootList?: string;
  },
): Promise<readonly Collateral[]> {
  const { service = intelService.service, rootList = intelService.rootList } = args;
  const quote = parseQuote(args.quote);
  const [leaf, authority] = quote.chain.map(parseCertificate);
  if (!leaf || !authority) throw uncollected(service, "The quote brings no PCK certificate to ask for.");
  const { fmspc } = readPlatform(leaf);
  const ca = authority.commonName?.includes("Processor") ? "processor" : "platform";
  const { kind } = quote.body;
  const urls = {
    tcb: `${service}/${kind}/certification/v4/tcb?fmspc=${fmspc}`,
    qe: `${service}/${kind}/certification/v4/qe/identity`,
    pckList: `${service}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`,
  };
  // One after the other: the service slows down whoever asks for much at once.
  const tcb = await ask(args, urls.tcb);
  const qe = await ask(args, urls.qe);
  const pckList = await ask(args, urls.pckList);
  const root = await ask(args, rootList);
  requireList(urls.pckList, pckList);
  requireList(rootList, root);
  const data = readAnswer(service, () => {
    const packed = packCollateral({
      tcbInfo: tcb.body,
      tcbInfoChain: chainOf(urls.tcb, tcb, "TCB-Info-Issuer-Chain"),
      qeIdentity: qe.body,
      qeIdentityChain: chainOf(urls.qe, qe, "SGX-Enclave-Identity-Issuer-Chain"),
      pckCrl: pckList.body,
      pckCrlChain: chainOf(urls.pckList, pckList, "SGX-PCK-CRL-Issuer-Chain"),
      rootCrl: root.body,
    });
    const { tcb_info, qe_identity } = readCollateral(packed);
    const info = readTcbInfo(tcb_info);
    readQeIdentity(qe_identity);
    if (info.fmspc.toLowerCase() !== fmspc) throw uncollected(urls.tcb, "It answered for another kind of platform.");
    return packed;
  });
  await args.store.put(data);
  return [{ kind: "dcap", data }];
}

/** PEM of the signer's chain, which the service writes into a header, percent-encoded. */
function chainOf(url: string, { headers }: Answer, name: string): string {
  const value = headers.get(name);
  if (value === null) throw uncollected(url, `Its answer has no header ${name}.`);
  return readAnswer(url, () => {
    const text = decodeURIComponent(value);
    readPem(text).forEach(parseCertificate);
    return text;
  });
}

function requireList(url: string, { body }: Answer): void {
  // Some mirrors answer with hex or an error in JSON and status 200.
  if (body[0] !== 0x30) {
    const said = readAnswer(url, () => parseJsonBytes(body));
    throw uncollected(url, isObject(said) ? "It answered with an error." : "Its answer is no revocation list in DER.");
  }
  readAnswer(url, () => parseCrl(body));
}
