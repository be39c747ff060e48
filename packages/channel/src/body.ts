import {
  CountersignError,
  canonicalBytes,
  type EndpointPath,
  fromBase64,
  fromHex,
  type Hex,
  hex32,
  isObject,
  type Json,
  type JsonObject,
  parseJsonBytes,
  sha256Hex,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";
import * as z from "zod";
import { channelSuite } from "./suite.ts";

/**
 * Members of a request that stay in clear, under the endpoint's own names: where it goes and what it costs at most.
 *
 * Each stands in the sealed body with the same value, or in neither.
 */
export const clearNames = ["model", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "stream"] as const;

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const clearMembers = {
  /** Without a level: the policy travels in its header. */
  model: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^:]*$/, "a level stands behind the name"),
  max_tokens: count.optional(),
  max_completion_tokens: count.optional(),
  max_output_tokens: count.optional(),
  n: z.number().int().min(1).max(128).optional(),
  stream: z.boolean().optional(),
};
const clearShape = z.strictObject(clearMembers);
const sealedBodyShape = z.strictObject({
  ...clearMembers,
  sealed: z.strictObject({
    suite: z.literal(channelSuite),
    /** Digest of the attested keyset. */
    keyset: hex32,
    /** The keyset's X25519 key. */
    key: hex32,
    enc: hex32,
    ciphertext: z.string(),
  }),
});

/** What everybody on the way reads of a request. */
export type ClearPart = z.infer<typeof clearShape>;

/** A sealed body, taken apart. */
export type SealedRequest = {
  readonly clear: ClearPart;
  readonly keyset: Hex;
  readonly key: Hex;
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
};

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("CHANNEL_MALFORMED", { message: "The sealed request cannot be read.", why, cause });

/** The members of a body that stay in clear; null is absent. @throws CHANNEL_MALFORMED naming the member at fault */
export function clearPart(body: JsonObject): ClearPart {
  const entries = clearNames.flatMap((name) => {
    const member = body[name];
    return member === undefined || member === null ? [] : [[name, member] as const];
  });
  const read = clearShape.safeParse(Object.fromEntries(entries));
  if (read.success) return read.data;
  throw new CountersignError("CHANNEL_MALFORMED", {
    message: "The request cannot be sealed as it is.",
    why: z.prettifyError(read.error),
    param: String(read.error.issues[0]?.path[0] ?? "model"),
  });
}

/**
 * That the opened body says what stood in clear, so that nobody pays for another request than the one that runs.
 *
 * @throws CHANNEL_MALFORMED; also for a policy inside, which nobody on the way could have sold
 */
export function requireSameClear(clear: ClearPart, body: JsonObject): void {
  const inside = clearPart(body);
  for (const name of clearNames) {
    if (clear[name] !== inside[name]) {
      throw new CountersignError("CHANNEL_MALFORMED", {
        message: `\`${name}\` in clear is not what is sealed.`,
        param: name,
      });
    }
  }
  if (body.verification !== undefined) {
    throw new CountersignError("CHANNEL_MALFORMED", {
      message: "A policy is sealed inside the request.",
      remedy: "Say it in the header X-Verification.",
      param: "verification",
    });
  }
}

/**
 * What a sealed body is bound to beside its key: whoever changes any of it on the way has a body that does not open.
 *
 * @param args.demand Bytes of the demanded policy: `demandBytes()` of core.
 */
export const channelAad = (args: {
  readonly clear: ClearPart;
  readonly clientNonce: Hex;
  readonly keyset: Hex;
  readonly path: EndpointPath;
  readonly demand: Uint8Array;
}): Uint8Array =>
  canonicalBytes({
    clear: args.clear,
    clientNonce: args.clientNonce,
    keyset: args.keyset,
    path: args.path,
    policy: sha256Hex(args.demand),
  });

/** Whether a body claims to be sealed; `parseSealedBody` says whether it is. */
export const isSealedBody = (value: Json): boolean => isObject(value) && Object.hasOwn(value, "sealed");

/** The body that travels. */
export function writeSealedBody({ clear, keyset, key, enc, ciphertext }: SealedRequest): Uint8Array {
  const head = JSON.stringify({ ...clear, sealed: { suite: channelSuite, keyset, key, enc: toHex(enc) } });
  // Base64 needs no escaping, and there can be megabytes of it.
  return utf8(`${head.slice(0, -2)},"ciphertext":"${toBase64(ciphertext)}"}}`);
}

/**
 * Reads a sealed body; undefined for an ordinary one.
 *
 * @throws CHANNEL_MALFORMED for a body with a sealed part and anything else in clear; REQUEST_MALFORMED,
 * REQUEST_NOT_CANONICAL for one that is not JSON with one reading
 */
export function parseSealedBody(body: Uint8Array): SealedRequest | undefined {
  const value = parseJsonBytes(body);
  if (!isSealedBody(value)) return undefined;
  const read = sealedBodyShape.safeParse(value);
  if (!read.success) throw malformed(z.prettifyError(read.error), read.error);
  const { sealed, ...clear } = read.data;
  try {
    const { keyset, key, enc, ciphertext } = sealed;
    return { clear, keyset, key, enc: fromHex(enc), ciphertext: fromBase64(ciphertext) };
  } catch (cause) {
    throw malformed("Its ciphertext is not canonical base64.", cause);
  }
}
