import { CountersignError, concat, type Envelope, type Hex, toBase64 } from "@countersign/core";
import { bearer, findModel, type Served } from "./catalogue.ts";

/** A fresh attestation of an enclave that serves a model, answering a client's nonce; the client checks it himself. */
export type Challenge = (
  model: string,
  nonce: Hex,
) => Promise<{ readonly attestation: string; readonly registration: Envelope }>;

/** Bytes of an attestation that are read. */
const mostBytes = 16 << 20;

async function readSome(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > mostBytes) throw new Error(`More than ${mostBytes} bytes.`);
    parts.push(part);
  }
  return concat(...parts);
}

/** Challenges over HTTP: `GET /attestation?nonce=` of the node. */
export function challengeOverHttp(options: {
  readonly served: () => readonly Served[];
  readonly token: string | null;
  readonly fetch?: typeof fetch;
}): Challenge {
  const get = options.fetch ?? fetch;
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
    try {
      const response = await get(new URL(`/attestation?nonce=${nonce}`, first.nodeUrl), {
        headers: bearer(options.token),
        redirect: "error",
        signal: AbortSignal.timeout(10_000),
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const bytes = await readSome(response);
      return { attestation: toBase64(bytes), registration: first.registration };
    } catch (cause) {
      throw new CountersignError("NODE_UNREACHABLE", {
        message: "The enclave did not answer the challenge.",
        cause,
      });
    }
  };
}
