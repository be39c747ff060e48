import * as z from "zod";
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

// An envelope is asked for its signed bytes several times in one verdict; kept only while its text is the same.
const messages = new WeakMap<
  Envelope,
  { readonly type: string; readonly payload: string; readonly bytes: Uint8Array }
>();

function signedBytes(envelope: Envelope): Uint8Array {
  const { payloadType: type, payload } = envelope;
  const known = messages.get(envelope);
  if (known && known.type === type && known.payload === payload) return known.bytes;
  const bytes = preAuthentication(type, fromBase64(payload));
  messages.set(envelope, { type, payload, bytes });
  return bytes;
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
  return sha256Hex(signedBytes(envelope));
}

/** What is expected of a statement: its subject's name, its type, the shape of its predicate. */
type Expected<P> = { readonly name: string; readonly predicateType: string; readonly predicate: z.ZodType<P> };

// A shape is compiled at its first use, which costs more than reading a statement: each is made once.
const shapes = new WeakMap<z.ZodType, { readonly name: string; readonly type: string; readonly shape: unknown }>();

const shapeOf = <P>({ name, predicateType, predicate }: Expected<P>) =>
  z.strictObject({
    _type: z.literal("https://in-toto.io/Statement/v1"),
    subject: z.tuple([z.strictObject({ name: z.literal(name), digest: z.strictObject({ sha256: hex32 }) })]),
    predicateType: z.literal(predicateType),
    predicate,
  });

function statementShapeOf<P>(expect: Expected<P>): ReturnType<typeof shapeOf<P>> {
  const known = shapes.get(expect.predicate);
  if (known?.name === expect.name && known.type === expect.predicateType) return known.shape as never;
  const shape = shapeOf(expect);
  shapes.set(expect.predicate, { name: expect.name, type: expect.predicateType, shape });
  return shape;
}

/** Reads the statement in an envelope without checking any signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export function readStatement<P>(
  envelope: unknown,
  expect: Expected<P>,
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
  const inner = statementShapeOf(expect).safeParse(parseCanonical(body));
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
  let message: Uint8Array;
  let key: Uint8Array;
  try {
    message = signedBytes(envelope);
    key = fromHex(publicKey);
  } catch {
    return false;
  }
  // Every signature is tried: whom a `keyid` names is anybody's word, and a bad one beside a good one takes nothing away.
  return envelope.signatures.some(({ sig }) => {
    try {
      return suite.verifyEd25519(fromBase64(sig), message, key);
    } catch {
      return false;
    }
  });
}
