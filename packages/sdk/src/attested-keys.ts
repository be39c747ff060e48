import {
  CountersignError,
  type Demand,
  envelopeShape,
  factsSuffice,
  fromBase64,
  type Hex,
  type Keyset,
  keyFor,
  type Requirement,
  toHex,
  ways,
} from "@countersign/core";
import { checkAttestation } from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";
import * as z from "zod";
import { readBytes, readError, readObject, send } from "./http.ts";
import type { Settings } from "./settings.ts";

/** Keys of an enclave that this client checked by itself. */
export type AttestedKeys = {
  readonly keyset: Keyset;
  readonly keysetDigest: Hex;
  /** Signs statements. */
  readonly receiptKey: Hex;
  /** Opens sealed requests. */
  readonly channelKey: Hex;
  readonly facts: Readonly<Record<string, string>>;
  /** Milliseconds after which it is asked again. */
  readonly until: number;
};

/** Longest time for which a checked document is taken for granted, milliseconds: revocations come in between. */
const longestTrust = 3_600_000;

const answerShape = z.looseObject({ attestation: z.string().max(16 << 20), registration: envelopeShape });

const nothingSent = "The prompt was not sent.";

/** Asks the enclave that serves a model for its keys, under a nonce of our own, and checks what it attests. */
async function askForKeys(settings: Settings, model: string, signal: AbortSignal | undefined): Promise<AttestedKeys> {
  const nonce = toHex(settings.random(32));
  const query = new URLSearchParams({ model, nonce });
  const response = await send(settings, `/v1/nodes/attestation?${query}`, { method: "GET", ...(signal && { signal }) });
  if (!response.ok) throw await readError(response);
  const { attestation, registration } = readShown(readObject(await readBytes(response)));
  const { trust, suite, allowDevelopment } = settings;
  const at = settings.now();
  const { outcome, checks } = checkAttestation({
    attestation,
    registrations: [registration],
    trust,
    at,
    nonce,
    suite,
    allowDevelopment,
    inLog: (entry, proof) => lookUp(entry, proof, trust, at, suite),
  });
  if (outcome.status === "refused") {
    throw new CountersignError(outcome.code, {
      message: `The enclave's attestation is refused. ${nothingSent}`,
      why: outcome.reason,
      facts: { checks: checks.filter((c) => c.status === "failed") },
    });
  }
  const { keyset, keysetDigest, facts } = outcome;
  const receiptKey = keyFor(keyset, "receipt");
  const channelKey = keyFor(keyset, "channel");
  if (receiptKey === undefined) {
    throw new CountersignError("TEE_KEY_NOT_BOUND", {
      message: `The enclave attests no key that signs receipts. ${nothingSent}`,
    });
  }
  if (channelKey === undefined) {
    throw new CountersignError("TEE_CHANNEL_NOT_BOUND", {
      message: `The enclave attests no key that opens sealed requests. ${nothingSent}`,
    });
  }
  const until = Math.min(keyset.notAfter, at + longestTrust);
  return { keyset, keysetDigest, receiptKey, channelKey, facts, until };
}

function readShown(value: unknown) {
  try {
    const { attestation, registration } = answerShape.parse(value);
    return { attestation: fromBase64(attestation), registration };
  } catch (cause) {
    throw new CountersignError("TEE_EVIDENCE_MALFORMED", {
      message: `The gateway's answer holds no attestation. ${nothingSent}`,
      cause,
    });
  }
}

/**
 * The checked keys of the enclave that serves a model; from memory while they are in force.
 *
 * @throws the code of the first check that failed, TEE_KEY_NOT_BOUND, TEE_CHANNEL_NOT_BOUND, NODE_NOT_ATTESTED; in every
 * case nothing of the prompt has left
 */
export async function attestedKeys(
  settings: Settings,
  model: string,
  signal: AbortSignal | undefined,
): Promise<AttestedKeys> {
  const known = settings.attested.get(model);
  if (known && settings.now() < known.until) return known;
  const keys = await askForKeys(settings, model, signal);
  settings.attested.set(model, keys);
  return keys;
}

/** Whether some way to meet a policy asks for `confidential`: then the request is sealed. */
export const asksConfidential = ({ policy }: Demand): boolean =>
  ways(policy).some((way) => way.some((r) => r.claim === "confidential"));

/** What an attestation shows of its enclave; other facts are an answer's, and are there only when it is. */
const attestedFacts: ReadonlySet<string> = new Set([
  "scope",
  "platform",
  "assurance",
  "tcb",
  "measurement",
  "provenance",
  "custody",
  "operator",
]);

/**
 * What a way to meet a policy asks of the enclave, where it asks for `confidential`: also what it asks in another claim's
 * name, since one enclave answers for all of them.
 */
function askedOfEnclave(way: readonly Requirement[]): readonly Requirement[] {
  if (!way.some((r) => r.claim === "confidential")) return [];
  return way.flatMap((r) => {
    if (r.claim === "confidential") return [r];
    if (r.ground !== "hardware") return [];
    return [{ ...r, facts: Object.fromEntries(Object.entries(r.facts).filter(([name]) => attestedFacts.has(name))) }];
  });
}

/**
 * That the enclave is one to which the policy lets the prompt go. Afterwards is too late for this claim: what was read
 * stays read.
 *
 * @throws TEE_SCOPE_PROXY_ONLY, ASSURANCE_NOT_OFFERED
 */
export function requireConfidant({ keyset, facts }: AttestedKeys, demand: Demand): void {
  if (!asksConfidential(demand)) return;
  if (keyset.scope !== "inference") {
    throw new CountersignError("TEE_SCOPE_PROXY_ONLY", {
      message: `The enclave hands the request on to another host, which would read it. ${nothingSent}`,
    });
  }
  const wanted = ways(demand.policy).map(askedOfEnclave);
  if (wanted.some((way) => way.every((r) => r.ground === "hardware" && factsSuffice(facts, r.facts)))) return;
  throw new CountersignError("ASSURANCE_NOT_OFFERED", {
    message: `The enclave is not one to which the policy lets the prompt go. ${nothingSent}`,
    why: `It is ${Object.entries(facts)
      .map(([name, value]) => `${name}=${value}`)
      .join(", ")}.`,
    facts: { found: facts, demanded: wanted.map((way) => way.map((r) => r.facts)) },
  });
}
