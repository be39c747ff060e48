import { type Hex, toHex } from "@countersign/core";
import { fault } from "../attestation.ts";
import { type DerNode, derFields, oid, oidOf, readDer, readNumber, readOctets } from "../der.ts";
import type { Certificate } from "../x509.ts";

/** What a PCK certificate says of its platform (Intel PCK Certificate and CRL Profile, §1.3.5). */
export type Platform = {
  /** Stable name of the platform, kept over updates of its microcode. */
  readonly ppid: Hex;
  /** Family, model, stepping, platform and custom SKU. */
  readonly fmspc: Hex;
  readonly pceId: Hex;
  readonly pceSvn: number;
  /** 16 SVNs. */
  readonly components: readonly number[];
  readonly cpuSvn: Hex;
};

const root = "1.2.840.113741.1.13.1";
const extensionId = oid(root);
const id = (path: string) => oid(`${root}.${path}`);

const mismatch = (why: string): never => fault("TEE_TCB_CERT_MISMATCH", why);

/** Pairs of identifier and value, each identifier once. */
function readPairs(node: DerNode | undefined): ReadonlyMap<Hex, DerNode> {
  const out = new Map<Hex, DerNode>();
  for (const pair of derFields(node)) {
    const [key, value, ...rest] = derFields(pair);
    const name = oidOf(key);
    if (value === undefined || rest.length > 0 || out.has(name))
      fault("TEE_EVIDENCE_MALFORMED", "The PCK certificate's SGX extension is not pairs, each once.");
    else out.set(name, value);
  }
  return out;
}

function octets(pairs: ReadonlyMap<Hex, DerNode>, path: string, size: number): Hex {
  const bytes = readOctets(pairs.get(id(path)));
  return bytes.length === size ? toHex(bytes) : mismatch(`The PCK certificate's value ${path} has another size.`);
}

/**
 * Reads the platform out of a PCK certificate's SGX extension, walking to it by its identifiers.
 *
 * @throws TEE_TCB_CERT_MISMATCH, TEE_EVIDENCE_MALFORMED
 */
export function readPlatform(certificate: Certificate): Platform {
  const extension = certificate.extensions.get(extensionId);
  if (!extension) return mismatch("The PCK certificate says nothing of its platform.");
  const pairs = readPairs(readDer(extension.value));
  const tcb = readPairs(pairs.get(id("2")));
  const svn = (n: number, most: number): number => {
    const value = readNumber(tcb.get(id(`2.${n}`)));
    return value <= most ? value : mismatch(`The PCK certificate's SVN ${n} is too great.`);
  };
  return {
    ppid: octets(pairs, "1", 16),
    fmspc: octets(pairs, "4", 6),
    pceId: octets(pairs, "3", 2),
    pceSvn: svn(17, 0xffff),
    components: Array.from({ length: 16 }, (_, i) => svn(i + 1, 0xff)),
    cpuSvn: octets(tcb, "2.18", 16),
  };
}
