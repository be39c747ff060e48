import {
  attestationMediaType,
  CountersignError,
  type Envelope,
  type ErrorCode,
  errorTable,
  type Hex,
  parseJsonBytes,
  readRegistration,
} from "@countersign/core";
import { printable } from "../terminal.ts";

/** Largest attestation that is read, bytes. */
const most = 16 << 20;
const patience = 30_000;

/** Authorisation of whoever holds a node's token. */
export const bearerOf = (token: string | null): Readonly<Record<string, string>> =>
  token === null || token === "" ? {} : { authorization: `Bearer ${token}` };

/** Who is asked, and the codes for one who does not answer, and for a refusal that has no code of its own. */
export type Asked = { readonly name: string; readonly unreachable: ErrorCode; readonly refused: ErrorCode };

/** Asks over HTTP; whoever does not answer, or answers with an error, is named; a refusal keeps its code. */
export async function ask(url: URL, init: RequestInit, who: Asked): Promise<Uint8Array> {
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
  throw refusalOf(response.status, bytes, who);
}

/** What one of our own servers refuses with (`toEnvelope` in core), in its words and with its code; any other's as it is. */
function refusalOf(status: number, bytes: Uint8Array, { name, refused }: Asked): CountersignError {
  const { error } = envelopeIn(bytes) ?? {};
  const code = Object.hasOwn(errorTable, String(error?.code)) ? (error?.code as ErrorCode) : undefined;
  if (code === undefined || typeof error?.message !== "string")
    return new CountersignError(status === 401 ? "UNAUTHENTICATED" : refused, {
      message: `The ${name} refused: HTTP ${status}.`,
      why: printable(new TextDecoder().decode(bytes.subarray(0, 500))),
    });
  const lines = printable(error.message).slice(0, 2000).split("\n");
  const part = (label: string) => lines.find((line) => line.startsWith(label))?.slice(label.length);
  return new CountersignError(code, {
    message: `The ${name} refused: ${lines[0]}`,
    why: part("Why: "),
    remedy: code === "UNAUTHENTICATED" ? "Set COUNTERSIGN_NODE_TOKEN to the node's token." : part("What to do: "),
  });
}

function envelopeIn(bytes: Uint8Array): { readonly error?: Readonly<Record<string, unknown>> } | undefined {
  try {
    return parseJsonBytes(bytes) as ReturnType<typeof envelopeIn>;
  } catch {
    return undefined;
  }
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

/**
 * The registration that a node shows, or undefined where it has none, or is none that anybody can read. Nothing of it is
 * checked here: whoever judges by it looks at its signature.
 */
export async function fetchRegistration(nodeUrl: string, token: string | null): Promise<Envelope | undefined> {
  try {
    const answer = await ask(
      new URL("/describe", nodeUrl),
      { headers: bearerOf(token) },
      { name: "node", unreachable: "NODE_UNREACHABLE", refused: "NODE_NOT_ATTESTED" },
    );
    const { registration } = parseJsonBytes(answer) as { readonly registration?: unknown };
    return registration === undefined ? undefined : readRegistration(registration).envelope;
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}
