import { CountersignError } from "@countersign/core";
import { Fault } from "../../attestation.ts";
import type { CollateralStore } from "./store.ts";

/** What every collection needs: how to ask, where to keep what came, how long to wait. */
export type Collecting = {
  readonly fetch: typeof fetch;
  readonly store: CollateralStore;
  /** Milliseconds for one answer, whole; 15 s where absent. */
  readonly timeout?: number;
};

/** One answer of a vendor's service. */
export type Answer = { readonly body: Uint8Array; readonly headers: Headers };

/** Bytes of an answer that are read at most. */
const most = 1_048_576;

/** A vendor's service gave nothing that can be used: nothing is kept, and nothing stands in for it. */
export const uncollected = (url: string, why: string, cause?: unknown): CountersignError =>
  new CountersignError("TEE_COLLATERAL_UNAVAILABLE", {
    message: `${url} gave no collateral that can be used.`,
    why,
    remedy: "Ask again later, or name another address of the same service.",
    facts: { url },
    ...(cause !== undefined && { cause }),
  });

const isLoopback = (host: string) => host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * One GET, answered with status 200 and not moved elsewhere.
 *
 * Key sets are authentic by TLS alone, so plain HTTP is for this machine only.
 *
 * @throws TEE_COLLATERAL_UNAVAILABLE
 */
export async function ask({ fetch, timeout = 15_000 }: Collecting, url: string): Promise<Answer> {
  const { protocol, hostname } = new URL(url);
  if (protocol !== "https:" && !(protocol === "http:" && isLoopback(hostname)))
    throw uncollected(url, "Only https is asked, and plain http on this machine.");
  const signal = AbortSignal.timeout(timeout);
  let answer: Response;
  try {
    answer = await fetch(url, { redirect: "error", signal });
  } catch (cause) {
    throw uncollected(url, signal.aborted ? `No answer in ${timeout} ms.` : "It cannot be reached, or moved.", cause);
  }
  if (answer.status !== 200) {
    await answer.body?.cancel();
    throw uncollected(url, `It answered with status ${answer.status}.`);
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
      size += part.length;
      if (size > most) throw uncollected(url, `Its answer is longer than ${most} bytes.`);
      parts.push(part);
    }
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw uncollected(url, signal.aborted ? `Not whole in ${timeout} ms.` : "Its answer broke off.", cause);
  }
  if (size === 0) throw uncollected(url, "Its answer is empty.");
  return { body: new Uint8Array(Buffer.concat(parts)), headers: answer.headers };
}

/** Reads an answer as a check will read it, so that what cannot be used is never stored. */
export function readAnswer<T>(url: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const known = cause instanceof Fault || CountersignError.is(cause);
    throw uncollected(url, known ? (cause as Error).message : "Its answer cannot be read.", cause);
  }
}
