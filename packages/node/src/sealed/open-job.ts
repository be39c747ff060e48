import { type AnswerSealer, channelAad, requireSameClear } from "@countersign/channel";
import { CountersignError, type Hex, type JsonObject, parseJsonBytes, sha256Hex } from "@countersign/core";
import { readStream } from "@countersign/core/render";
import { type CheckedJob, type OuterJob, readInner } from "../check-job.ts";
import type { ChannelKey } from "./channel-key.ts";
import { quiet } from "./quiet.ts";
import { readSealed, requireOwnKey } from "./read-sealed.ts";

/** A sealed job, opened: everything after the opening goes by the request that was inside. */
export type OpenedJob = {
  readonly checked: CheckedJob;
  /** Whether the answer is written as events. */
  readonly stream: boolean;
  readonly seal: (random: (length: number) => Uint8Array) => Promise<AnswerSealer>;
  /** What the statement says of the channel, but for the answer. */
  readonly channel: {
    readonly suite: "countersign/channel/v1";
    readonly keyset: Hex;
    readonly key: Hex;
    readonly request: Hex;
  };
};

/** What opening stands on. */
export type OpenContext = {
  /** Absent where this node runs in no enclave. */
  readonly channel?: ChannelKey | undefined;
};

/**
 * Opens the body of a job, if it is sealed; undefined for an ordinary one (spec/channel.md §4).
 *
 * A body opens once, whatever becomes of its run and under whatever offer it comes again: whoever relays it must not be
 * able to have it answered until the answer's length, or its time, tells what stands in it.
 *
 * @throws NODE_NOT_ATTESTED, TEE_CHANNEL_NOT_BOUND, CHANNEL_MALFORMED, CHANNEL_UNOPENED, NONCE_REPLAYED; behind the opening
 *   whatever the request inside is refused with, in words that say nothing of it
 */
export async function openJob(outer: OuterJob, context: OpenContext): Promise<OpenedJob | undefined> {
  const sealed = readSealed(outer.body);
  if (!sealed) return undefined;
  const { open } = requireOwnKey(sealed, context.channel);
  const { job } = outer;
  // The gateway's draw would be the gateway's choice of what the client's seal is bound to.
  if (job.nonceSource !== "client") {
    throw new CountersignError("CHANNEL_MALFORMED", { message: "A sealed request needs its client's own nonce." });
  }
  const { enc, ciphertext, clear, keyset, key } = sealed;
  const aad = channelAad({ clear, clientNonce: job.clientNonce, keyset, path: job.path, demand: outer.policy });
  const opened = await open({ enc, ciphertext, aad });
  const channel = { suite: "countersign/channel/v1", keyset, key, request: sha256Hex(outer.body) } as const;
  try {
    // Also for a policy: nobody on the way could have sold one that stands inside.
    requireSameClear(clear, parseJsonBytes(opened.body) as JsonObject);
    const checked = readInner(outer, opened.body);
    return { checked, stream: readStream(checked.request), seal: opened.sealAnswer, channel };
  } catch (error) {
    throw quiet(error);
  }
}
