import { attestationMediaType, CountersignError, type ErrorCode, type Hex } from "@countersign/core";

/** Largest attestation that is read, bytes. */
const most = 16 << 20;
const patience = 30_000;

/** Authorisation of whoever holds a node's token. */
export const bearerOf = (token: string | null): Readonly<Record<string, string>> =>
  token === null || token === "" ? {} : { authorization: `Bearer ${token}` };

/** Asks over HTTP; whoever does not answer, or answers with an error, is named. */
export async function ask(
  url: URL,
  init: RequestInit,
  who: { readonly name: string; readonly unreachable: ErrorCode; readonly refused: ErrorCode },
): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, redirect: "error", signal: AbortSignal.timeout(patience) });
  } catch (cause) {
    throw new CountersignError(who.unreachable, {
      message: `The ${who.name} at ${url.origin} does not answer.`,
      cause,
    });
  }
  const bytes = await readBounded(response, who.name);
  if (response.ok) return bytes;
  throw new CountersignError(who.refused, {
    message: `The ${who.name} refused: HTTP ${response.status}.`,
    why: new TextDecoder().decode(bytes.subarray(0, 500)),
  });
}

async function readBounded(response: Response, name: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > most)
      throw new CountersignError("TEE_EVIDENCE_MALFORMED", { message: `The ${name}'s answer is longer than 16 MiB.` });
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * An enclave node's attestation, made for a nonce; nothing of it is checked here.
 *
 * @throws NODE_UNREACHABLE, NODE_NOT_ATTESTED when it shows none
 */
export async function fetchAttestation(nodeUrl: string, token: string | null, nonce: Hex | null): Promise<Uint8Array> {
  const url = new URL("/attestation", nodeUrl);
  if (nonce !== null) url.searchParams.set("nonce", nonce);
  return ask(
    url,
    { headers: { accept: attestationMediaType, ...bearerOf(token) } },
    { name: "node", unreachable: "NODE_UNREACHABLE", refused: "NODE_NOT_ATTESTED" },
  );
}
