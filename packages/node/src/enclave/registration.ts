import { readFile, rename, writeFile } from "node:fs/promises";
import {
  CountersignError,
  type Envelope,
  type Hex,
  isSignedBy,
  type Registration,
  readRegistration,
  type Suite,
} from "@countersign/core";

/** Registration of a key that was born here: taken when it comes, kept for the next start. */
export type KeptRegistration = {
  readonly current: () => Envelope | undefined;
  /** @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED, DOMAIN_MISMATCH, NOT_AUTHORISED, NODE_NOT_ACTIVE */
  readonly take: (envelope: unknown) => Promise<void>;
};

type Expected = {
  readonly key: Hex;
  readonly network: string;
  /** Whose word counts; undefined: anybody's for the first, and then that registrar's. */
  readonly registrars?: readonly Hex[] | undefined;
  readonly suite: Suite;
  readonly now: () => number;
};

type Read = { readonly envelope: Envelope; readonly predicate: Registration };

/** A registration for exactly this key, as a node, on this network, signed by the registrar that it names. */
function readOurs(given: unknown, { key, network, registrars, suite }: Expected): Read {
  const { predicate, envelope } = readRegistration(given);
  if (predicate.key !== key || predicate.role !== "node" || predicate.network !== network) {
    throw new CountersignError("DOMAIN_MISMATCH", {
      message: "The registration is for another key, role or network.",
      why: `It names ${predicate.role} ${predicate.key} on ${predicate.network}; this is node ${key} on ${network}.`,
    });
  }
  if (!isSignedBy(envelope, predicate.registrar, suite))
    throw new CountersignError("ENVELOPE_MALFORMED", {
      message: "The registration is not signed by the registrar that it names.",
    });
  if (registrars && !registrars.includes(predicate.registrar))
    throw new CountersignError("NOT_AUTHORISED", {
      message: "The registration comes from a registrar that this node's configuration does not name.",
      remedy: "Register with one of those under `registrars`.",
    });
  return { envelope, predicate };
}

/** Whoever has the token may hand over a registration, and must not be able to put a good one aside by it. */
function requireBetter(next: Registration, held: Registration, registrars: Expected["registrars"]): void {
  if (!registrars && next.registrar !== held.registrar)
    throw new CountersignError("NOT_AUTHORISED", {
      message: "Another registrar has registered this key.",
      remedy: "Name the registrars that count under `registrars`, or remove registration.json and start again.",
    });
  if (next.notBefore < held.notBefore)
    throw new CountersignError("NODE_NOT_ACTIVE", {
      message: "The registration is older than the one that this node has.",
    });
}

/** Opens what was kept; a registration of another key is not used, and one that has ended only to compare with. */
export async function openRegistration(path: string, expected: Expected): Promise<KeptRegistration> {
  let held: Read | undefined;
  try {
    held = readOurs(JSON.parse(await readFile(path, "utf8")), expected);
  } catch {
    // Public and signed: a file that does not hold is like none, and the node says that it is not registered.
    held = undefined;
  }
  const isInForce = ({ notBefore, notAfter }: Registration) => {
    const at = expected.now();
    return notBefore <= at && at <= notAfter;
  };
  return {
    current: () => (held && isInForce(held.predicate) ? held.envelope : undefined),
    async take(envelope) {
      const next = readOurs(envelope, expected);
      if (!isInForce(next.predicate))
        throw new CountersignError("NODE_NOT_ACTIVE", { message: "The registration is not in force now." });
      if (held) requireBetter(next.predicate, held.predicate, expected.registrars);
      await writeFile(`${path}.new`, `${JSON.stringify(next.envelope)}\n`);
      await rename(`${path}.new`, path);
      held = next;
    },
  };
}
