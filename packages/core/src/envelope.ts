import { z } from "zod";
import { concat, fromBase64, fromHex, type Hex, toBase64, toHex, utf8 } from "./bytes.ts";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import { CountersignError } from "./errors/error.ts";
import { sha256Hex } from "./hash.ts";
import { hex32 } from "./shapes.ts";
import type { Signer, Suite } from "./signature.ts";

/** DSSE envelope (v1.0.2) with one signature. `keyid` is the signer's public key in hex: a hint, believed by nobody. */
export type Envelope = {
  readonly payloadType: string;
  /** Standard base64 of the signed body. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
};

/** An in-toto Statement v1 whose predicate is one of ours. */
export type InToto<P> = {
  readonly _type: "https://in-toto.io/Statement/v1";
  readonly subject: readonly [{ readonly name: string; readonly digest: { readonly sha256: Hex } }];
  readonly predicateType: string;
  readonly predicate: P;
};

export const payloadType = "application/vnd.in-toto+json";

export const envelopeShape: z.ZodType<Envelope> = z.strictObject({
  payloadType: z.string().max(128),
  payload: z.string().max(1 << 20),
  signatures: z
    .array(z.strictObject({ keyid: z.string().max(128), sig: z.string().max(256) }))
    .min(1)
    .max(4),
});

/** DSSE's pre-authentication encoding: the bytes that are signed. */
export function preAuthentication(type: string, body: Uint8Array): Uint8Array {
  const name = utf8(type);
  return concat(utf8(`DSSEv1 ${name.length} `), name, utf8(` ${body.length} `), body);
}

/** Signs a statement about `subject` (32 bytes, hex). */
export function signStatement<P>(
  args: { readonly name: string; readonly subject: Hex; readonly predicateType: string; readonly predicate: P },
  signer: Signer,
): Envelope {
  const statement: InToto<P> = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: args.name, digest: { sha256: args.subject } }],
    predicateType: args.predicateType,
    predicate: args.predicate,
  };
  const body = canonicalBytes(statement);
  const sig = toBase64(signer.sign(preAuthentication(payloadType, body)));
  return { payloadType, payload: toBase64(body), signatures: [{ keyid: toHex(signer.publicKey), sig }] };
}

/** SHA-256 of the signed bytes: the identity of an envelope (its signature could be written twice, its body cannot). */
export function envelopeDigest(envelope: Envelope): Hex {
  return sha256Hex(preAuthentication(envelope.payloadType, fromBase64(envelope.payload)));
}

/** Reads the statement in an envelope without checking any signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export function readStatement<P>(
  envelope: unknown,
  expect: { readonly name: string; readonly predicateType: string; readonly predicate: z.ZodType<P> },
): { readonly subject: Hex; readonly predicate: P; readonly envelope: Envelope } {
  const outer = envelopeShape.safeParse(envelope);
  if (!outer.success || outer.data.payloadType !== payloadType) {
    throw new CountersignError("ENVELOPE_MALFORMED", {
      message: `This is not a DSSE envelope of type ${payloadType}.`,
      cause: outer.error,
    });
  }
  let body: Uint8Array;
  try {
    body = fromBase64(outer.data.payload);
  } catch (cause) {
    throw new CountersignError("ENVELOPE_MALFORMED", { message: "The payload is not canonical base64.", cause });
  }
  const inner = z
    .strictObject({
      _type: z.literal("https://in-toto.io/Statement/v1"),
      subject: z.tuple([z.strictObject({ name: z.literal(expect.name), digest: z.strictObject({ sha256: hex32 }) })]),
      predicateType: z.literal(expect.predicateType),
      predicate: expect.predicate,
    })
    .safeParse(parseCanonical(body));
  if (!inner.success) {
    throw new CountersignError("STATEMENT_MALFORMED", {
      message: `The signed statement is not a ${expect.predicateType}.`,
      why: z.prettifyError(inner.error),
      cause: inner.error,
    });
  }
  return {
    subject: inner.data.subject[0].digest.sha256,
    predicate: inner.data.predicate as P,
    envelope: outer.data,
  };
}

/** Whether the envelope carries a valid signature by exactly this key. The algorithm is Ed25519 by format. */
export function isSignedBy(envelope: Envelope, publicKey: Hex, suite: Suite): boolean {
  const hint = envelope.signatures.find((s) => s.keyid === publicKey);
  if (!hint) return false;
  try {
    const message = preAuthentication(envelope.payloadType, fromBase64(envelope.payload));
    return suite.verifyEd25519(fromBase64(hint.sig), message, fromHex(publicKey));
  } catch {
    return false;
  }
}
