import { CountersignError, type Signer, type Suite, type Trust } from "@countersign/core";
import { parsePolicy } from "@countersign/log";
import { type Appended, cosignBy, type LogWriter, openLog } from "@countersign/log/write";

/** The log as the gateway uses it. */
export type GatewayLog = {
  readonly writer: LogWriter;
  /** First line of its checkpoints. */
  readonly origin: string;
  /** How many witnesses cosign it; with none, `logged` cannot be offered. */
  readonly witnesses: number;
  /** Appends an entry; resolves when the disk has it. @throws LOG_WRITE_FAILED */
  readonly append: (entry: Uint8Array) => Promise<Appended>;
  /** Proof of inclusion under the newest published checkpoint, or undefined while none covers the entry. */
  readonly prove: (index: number) => Promise<string | undefined>;
  /** Waits until a checkpoint that the witnesses' quorum cosigned covers the entry. @throws CHECKPOINT_NOT_WITNESSED */
  readonly witnessed: (index: number, entry: Uint8Array, milliseconds: number) => Promise<void>;
};

/**
 * Opens the log's directory. A checkpoint is published when the quorum of witnesses has cosigned it and not before, so
 * every proof that is given out is one that a verifier accepts; entries are durable and acknowledged meanwhile.
 */
export async function openGatewayLog(options: {
  readonly dir: string;
  readonly origin: string;
  readonly signer: Signer;
  readonly suite: Suite;
  /** Its `witnesses`, with URLs, are asked to cosign. */
  readonly trust: Pick<Trust, "witnesses">;
  readonly fetch?: typeof fetch;
  /** Milliseconds between two checkpoints under load. */
  readonly flushMs?: number;
  readonly onFault?: (error: unknown) => void;
}): Promise<GatewayLog> {
  const { dir, origin, signer, suite } = options;
  const policy = parsePolicy(options.trust.witnesses);
  const witnesses = policy.quorum.kind === "none" ? 0 : policy.witnesses.length;
  const writer = await openLog({
    dir,
    origin,
    signer,
    suite,
    ...(options.flushMs !== undefined && { flushEvery: options.flushMs }),
    ...(witnesses > 0 && { cosign: cosignBy({ policy, suite, fetch: options.fetch ?? fetch }) }),
    ...(options.onFault && { onFault: options.onFault }),
  });
  return describeLog(writer, origin, witnesses);
}

/** A gateway's log over an open writer. */
export function describeLog(writer: LogWriter, origin: string, witnesses: number): GatewayLog {
  const covers = (index: number) => sizeOf(writer) > index;
  return {
    writer,
    origin,
    witnesses,
    append: (entry) => writer.append(entry),
    prove: async (index) => (covers(index) ? writer.proof(index) : undefined),
    witnessed: async (index, entry, milliseconds) => {
      if (covers(index)) return;
      // The same bytes again give the same place, and with it the promise of its checkpoint.
      const { integrated } = await writer.append(entry);
      const { promise, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        reject(
          new CountersignError("CHECKPOINT_NOT_WITNESSED", {
            message: `The witnesses did not cosign within ${milliseconds} ms; nothing was charged.`,
            remedy: "Ask again, or demand a policy without `logged`.",
          }),
        );
      }, milliseconds);
      try {
        await Promise.race([integrated, promise]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** Entries under the published checkpoint; 0 while there is none. */
export function sizeOf(writer: LogWriter): number {
  try {
    return writer.head().size;
  } catch (error) {
    if (CountersignError.is(error, "NOT_READY")) return 0;
    throw error;
  }
}
