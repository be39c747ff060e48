import { randomBytes, sign } from "node:crypto";
import { concat, type Hex, sha256Hex, toHex } from "@countersign/core";
import { encode } from "cborg";
import { simulatedName } from "../acceptance.ts";
import { signedBytes } from "../nitro/document.ts";
import { type IssuedCertificate, makeCertificate } from "./certificate.ts";

const hour = 3_600_000;
const lives = { root: 10 * 365 * 24 * hour, zone: 24 * hour, leaf: 3 * hour } as const;
/** Milliseconds that certificates begin earlier: the clocks of those who check are not ours. */
const early = 60_000;

/** What a document says. Fields that are null are written as null, as the genuine module does. */
export type NitroContent = {
  readonly moduleId: string;
  /** 48 bytes each. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  readonly userData: Uint8Array | null;
  readonly nonce: Uint8Array | null;
  readonly publicKey: Uint8Array | null;
  /** Milliseconds. */
  readonly timestamp: number;
};

/** Who signs a document: the chain that goes into it, root first and leaf last, with the leaf's key. */
export type NitroSigner = { readonly chain: readonly IssuedCertificate[] };

/** Ways to make a document that must be refused; each replaces what a sound document has. */
export type NitroFlaws = {
  /** CBOR of the protected header. */
  readonly header?: Uint8Array;
  /** CBOR of the unprotected header. */
  readonly open?: Uint8Array;
  /** Changes the payload's fields before they are signed. */
  readonly change?: (fields: Map<unknown, unknown>) => void;
  /** Fields of the payload that are written twice. */
  readonly twice?: readonly string[];
  /** Writes the payload as a map of definite length, as older modules do. Not a flaw by itself. */
  readonly definite?: boolean;
  /** COSE_Sign1's tag 18 in front. Not a flaw by itself. */
  readonly tagged?: boolean;
  /** Bytes behind the signed payload, inside its byte string. */
  readonly behindPayload?: Uint8Array;
  /** Bytes behind the document. */
  readonly behind?: Uint8Array;
};

/** Signs a document in the format of the Nitro Secure Module (COSE_Sign1, ES384, untagged). */
export function signNitroDocument(content: NitroContent, { chain }: NitroSigner, flaws: NitroFlaws = {}): Uint8Array {
  const leaf = chain.at(-1);
  if (!leaf) throw new RangeError("A document needs a certificate.");
  const fields = new Map<unknown, unknown>([
    ["module_id", content.moduleId],
    ["digest", "SHA384"],
    ["timestamp", content.timestamp],
    ["pcrs", content.pcrs],
    ["certificate", leaf.der],
    ["cabundle", chain.slice(0, -1).map((c) => c.der)],
    ["public_key", content.publicKey],
    ["user_data", content.userData],
    ["nonce", content.nonce],
  ]);
  flaws.change?.(fields);
  const header = flaws.header ?? encode(new Map([[1, -35]]));
  const payload = concat(encodeMap(fields, flaws), flaws.behindPayload ?? new Uint8Array());
  const key = { key: leaf.key, dsaEncoding: "ieee-p1363" } as const;
  const signature = new Uint8Array(sign("sha384", signedBytes(header, payload), key));
  const parts = [encode(header), flaws.open ?? encode(new Map()), encode(payload), encode(signature)];
  const head = flaws.tagged ? [0xd2, 0x84] : [0x84];
  return concat(Uint8Array.from(head), ...parts, flaws.behind ?? new Uint8Array());
}

/** A map in the order of its fields, of indefinite length: what the genuine module writes. */
function encodeMap(fields: ReadonlyMap<unknown, unknown>, { definite, twice = [] }: NitroFlaws): Uint8Array {
  const entries = [...fields, ...[...fields].filter(([name]) => twice.includes(String(name)))];
  const body = entries.flatMap(([name, value]) => [encode(name), encode(value)]);
  return definite
    ? concat(Uint8Array.of(0xa0 | entries.length), ...body)
    : concat(Uint8Array.of(0xbf), ...body, Uint8Array.of(0xff));
}

/** Makes a root (P-384, ten years) whose name says that it is no hardware's. */
export function makeNitroRoot(args: { readonly now: number; readonly subjectPrefix?: string }): IssuedCertificate {
  return makeCertificate({
    subject: `${args.subjectPrefix ?? simulatedName} root ${toHex(randomBytes(4))}`,
    keyType: "P-384",
    notBefore: args.now - early,
    notAfter: args.now + lives.root,
    ca: true,
  });
}

/** A private authority that plays AWS's: root, zone and leaf, each a link of its own. */
export type NitroAuthority = {
  readonly root: IssuedCertificate;
  /** SHA-256 of the root's DER: what a trust names. */
  readonly rootDigest: Hex;
  /** A zone's authority: 24 hours. */
  readonly issueZone: (at: number) => IssuedCertificate;
  /** The chain of one enclave under a zone, with a fresh leaf: 3 hours. */
  readonly issueSigner: (zone: IssuedCertificate, at: number) => NitroSigner;
  /** A document made at `at` (milliseconds); zone and leaf are issued anew as they run out. */
  readonly document: (
    args: Omit<NitroContent, "timestamp" | "moduleId"> & { readonly at: number; readonly moduleId?: string },
  ) => Uint8Array;
};

/**
 * Opens a private authority for documents in the genuine format, under a root that no default trust names.
 *
 * @param args.root An earlier root, so that one machine keeps one: its DER and private key (`key.export`, kept with mode
 *   0600). Absent: a new one from `now`.
 * @example const authority = makeNitroAuthority({ now: Date.now() });
 */
export function makeNitroAuthority(
  args: { readonly root: IssuedCertificate } | { readonly now: number; readonly subjectPrefix?: string },
): NitroAuthority {
  const root = "root" in args ? args.root : makeNitroRoot(args);
  const issue = (role: string, issuer: IssuedCertificate, at: number, life: number, ca: boolean) =>
    makeCertificate({
      subject: `${simulatedName} ${role} ${toHex(randomBytes(4))}`,
      issuer,
      keyType: "P-384",
      notBefore: at - early,
      notAfter: at + life,
      ca,
      ...(ca && { pathLength: 0 }),
    });
  const issueZone = (at: number) => issue("zone", root, at, lives.zone, true);
  const issueSigner = (zone: IssuedCertificate, at: number): NitroSigner => ({
    chain: [root, zone, issue("enclave", zone, at, lives.leaf, false)],
  });
  let zone: { readonly at: number; readonly issued: IssuedCertificate } | undefined;
  let signer: { readonly at: number; readonly issued: NitroSigner } | undefined;
  return {
    root,
    rootDigest: sha256Hex(root.der),
    issueZone,
    issueSigner,
    document({ at, moduleId = "simulated", ...content }) {
      // A document's receipts are checked while its leaf is valid: one that is about to run out signs nothing more.
      if (!zone || at < zone.at || at > zone.at + lives.zone - 2 * lives.leaf) {
        zone = { at, issued: issueZone(at) };
        signer = undefined;
      }
      if (!signer || at < signer.at || at > signer.at + hour) signer = { at, issued: issueSigner(zone.issued, at) };
      return signNitroDocument({ ...content, moduleId, timestamp: at }, signer.issued);
    },
  };
}
