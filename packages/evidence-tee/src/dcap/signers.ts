import { equalBytes, fromHex, type Suite, utf8 } from "@countersign/core";
import { fault } from "../attestation.ts";
import { checkRevocation, parseCrl, type RevocationList } from "../crl.ts";
import { type Certificate, checkChain, checkValidity, parseCertificate } from "../x509.ts";
import { type DcapCollateral, type QeIdentity, readQeIdentity, readTcbInfo, type TcbInfo } from "./collateral.ts";
import { readChainText } from "./quote.ts";

/** What signatures of Intel's data are judged with. */
export type SignerArgs = {
  /** The root at which the document's own chain ends: data under another one says nothing about this platform. */
  readonly root: Certificate;
  /** Milliseconds. */
  readonly at: number;
  readonly suite: Suite;
};

/** Roles by common name (Intel PCK Certificate and CRL Profile): the root signs certificates for several purposes. */
const roles = {
  pck: ["Intel SGX PCK Certificate"],
  pckCa: ["Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"],
  signer: ["Intel SGX TCB Signing"],
} as const;

export function checkRole({ commonName }: Certificate, role: keyof typeof roles): void {
  if (!roles[role].some((name) => name === commonName))
    fault("TEE_CHAIN_BROKEN", `A certificate for ${commonName ?? "nothing"} stands where ${roles[role][0]} belongs.`);
}

/** Every key of Intel's attestation is one of P-256. @throws TEE_CERT_KEY, TEE_CHAIN_BROKEN, TEE_CERT_NOT_CA */
export function checkIntelChain(chain: readonly Certificate[], suite: Suite, leafIsCa = false): string {
  for (const { publicKey } of chain)
    if (publicKey.kind !== "ec" || publicKey.curve !== "P-256") fault("TEE_CERT_KEY", "A key is not one of P-256.");
  return checkChain(chain, { suite, algorithms: ["ecdsa-sha256"], leafIsCa });
}

/** The signer of a chain of two, under the same root. @throws TEE_ROOT_UNTRUSTED and what chains are refused for */
function readSigner(text: string, role: "signer" | "pckCa", { root, at, suite }: SignerArgs): Certificate {
  const [signer, top, ...rest] = readChainText(text);
  if (!signer || !top || rest.length > 0) return fault("TEE_CHAIN_BROKEN", "A chain of Intel's data is not of two.");
  if (!equalBytes(top, root.der))
    fault("TEE_ROOT_UNTRUSTED", "A chain of Intel's data ends at another root than the document's.");
  const chain = [root, parseCertificate(signer)] as const;
  checkIntelChain(chain, suite, role === "pckCa");
  checkRole(chain[1], role);
  checkValidity(chain, at);
  return chain[1];
}

function readList(hex: string, what: string, at: number): RevocationList {
  const list = parseCrl(fromHex(hex));
  // Said apart from a list that is forged: this one is only old.
  if (list.nextUpdate !== null && !(list.thisUpdate <= at && at <= list.nextUpdate))
    fault("TEE_COLLATERAL_EXPIRED", `${what} is in force until ${new Date(list.nextUpdate).toISOString()}.`);
  return list;
}

/**
 * Checks a PCK chain (root first) against both lists.
 *
 * @returns the root's list, for the signers of Intel's data
 * @throws TEE_REVOCATION_UNKNOWN, TEE_CERT_REVOKED, TEE_COLLATERAL_EXPIRED, TEE_CHAIN_BROKEN
 */
export function checkLists(
  [root, ca, leaf]: readonly [Certificate, Certificate, Certificate],
  collateral: DcapCollateral,
  { at, suite }: SignerArgs,
): RevocationList {
  const rootList = readList(collateral.root_ca_crl, "The root's revocation list", at);
  const pckList = readList(collateral.pck_crl, "The revocation list of PCK certificates", at);
  const [issuer, top, ...rest] = readChainText(collateral.pck_crl_issuer_chain);
  const same = rest.length === 0 && issuer && top && equalBytes(issuer, ca.der) && equalBytes(top, root.der);
  if (!same) {
    // Intel may have issued the same CA again; another CA's list says nothing about this certificate.
    const signer = readSigner(collateral.pck_crl_issuer_chain, "pckCa", { root, at, suite });
    if (!equalBytes(signer.spki, ca.spki) || !equalBytes(signer.subject, ca.subject))
      fault("TEE_REVOCATION_UNKNOWN", "The list of PCK certificates is another CA's.");
    checkRevocation(rootList, root, [signer], at, suite);
  }
  checkRevocation(rootList, root, [ca], at, suite);
  checkRevocation(pckList, ca, [leaf], at, suite);
  return rootList;
}

type Statement = { readonly issueDate: number; readonly nextUpdate: number };

/**
 * Checks the signatures over TCB info and QE identity, byte for byte as they came, and only then reads them.
 *
 * @throws TEE_SIGNATURE_INVALID, TEE_CERT_REVOKED, TEE_COLLATERAL_EXPIRED and what chains are refused for
 */
export function readSigned(
  collateral: DcapCollateral,
  rootList: RevocationList,
  args: SignerArgs,
): { readonly info: TcbInfo; readonly identity: QeIdentity } {
  const { root, at, suite } = args;
  const signers = new Map<string, Certificate>();
  const signerOf = (chain: string): Certificate => {
    const known = signers.get(chain);
    if (known) return known;
    const signer = readSigner(chain, "signer", args);
    checkRevocation(rootList, root, [signer], at, suite);
    signers.set(chain, signer);
    return signer;
  };
  const open = <T extends Statement>(
    [chain, text, signature]: readonly [string, string, string],
    what: string,
    read: (text: string) => T,
  ): T => {
    const { publicKey } = signerOf(chain);
    const signed =
      publicKey.kind === "ec" &&
      suite.verifyEcdsa({
        curve: "P-256",
        signature: fromHex(signature),
        message: utf8(text),
        publicKey: publicKey.point,
      });
    if (!signed) fault("TEE_SIGNATURE_INVALID", `${what} is not signed by Intel as it stands here.`);
    const value = read(text);
    if (!(value.issueDate <= at && at <= value.nextUpdate)) {
      const [from, to] = [value.issueDate, value.nextUpdate].map((t) => new Date(t).toISOString());
      fault("TEE_COLLATERAL_EXPIRED", `${what} is in force from ${from} to ${to}.`);
    }
    return value;
  };
  const { tcb_info_issuer_chain, tcb_info, tcb_info_signature } = collateral;
  const { qe_identity_issuer_chain, qe_identity, qe_identity_signature } = collateral;
  return {
    info: open([tcb_info_issuer_chain, tcb_info, tcb_info_signature], "TCB info", readTcbInfo),
    identity: open([qe_identity_issuer_chain, qe_identity, qe_identity_signature], "The QE identity", readQeIdentity),
  };
}
