import { CountersignError, type Envelope, type Hex, toBase64 } from "@countersign/core";
import { bearer, findModel, type Served } from "./catalogue.ts";
import { readBounded } from "./read-bounded.ts";

/** A fresh attestation of an enclave that serves a model, answering a client's nonce; the client checks it himself. */
export type Challenge = (
  model: string,
  nonce: Hex,
) => Promise<{ readonly attestation: string; readonly registration: Envelope }>;

/** Bytes of an attestation that are read. */
const mostBytes = 16 << 20;

/**
 * Challenges that one enclave is given: anybody may ask, and each costs it a signature, and its platform a quote, of the
 * time in which it would run what was paid for. A client asks once an hour.
 */
const mostChallenges = { underWay: 8, atOnce: 64, perSecond: 32 };

/** Lets through what one enclave bears; call the result when the challenge is answered. @throws RATE_LIMITED */
function openTurnstile(now: () => number): () => () => void {
  let underWay = 0;
  let left: number = mostChallenges.atOnce;
  let seen = now();
  return () => {
    const at = now();
    left = Math.min(mostChallenges.atOnce, left + (Math.max(0, at - seen) / 1000) * mostChallenges.perSecond);
    seen = at;
    if (underWay >= mostChallenges.underWay || left < 1) {
      throw new CountersignError("RATE_LIMITED", {
        message: "The enclave is asked for its attestation more often than it answers.",
        remedy: "Ask again in a moment; checked keys may be used again for an hour.",
      });
    }
    underWay++;
    left--;
    return () => {
      underWay--;
    };
  };
}

/** Challenges over HTTP: `GET /attestation?nonce=` of the node. */
export function challengeOverHttp(options: {
  readonly served: () => readonly Served[];
  readonly token: string | null;
  readonly fetch?: typeof fetch;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): Challenge {
  const { fetch: get = fetch, now = Date.now } = options;
  const turnstiles = new Map<string, ReturnType<typeof openTurnstile>>();
  const enter = (nodeUrl: string) => {
    const known = turnstiles.get(nodeUrl) ?? openTurnstile(now);
    turnstiles.set(nodeUrl, known);
    return known();
  };
  return async (model, nonce) => {
    const attested = options.served().filter((s) => s.attestation && s.deployment.model.id === model);
    const [first] = attested;
    if (!first) {
      // An unknown model says so, with near names; a known one has no enclave.
      const known = options.served().find((s) => s.deployment.model.id === model);
      if (!known) findModel(options.served(), model, "/v1/chat/completions");
      throw new CountersignError("NODE_NOT_ATTESTED", {
        message: `No deployment of ${model} runs in an attested enclave.`,
        param: "model",
      });
    }
    const leave = enter(first.nodeUrl);
    try {
      const response = await get(new URL(`/attestation?nonce=${nonce}`, first.nodeUrl), {
        headers: bearer(options.token),
        redirect: "error",
        signal: AbortSignal.timeout(10_000),
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const bytes = await readBounded(response, mostBytes);
      return { attestation: toBase64(bytes), registration: first.registration };
    } catch (cause) {
      throw new CountersignError("NODE_UNREACHABLE", {
        message: "The enclave did not answer the challenge.",
        cause,
      });
    } finally {
      leave();
    }
  };
}
