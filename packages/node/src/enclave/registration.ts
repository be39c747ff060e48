import { readFile, rename, writeFile } from "node:fs/promises";
import { CountersignError, type Envelope, type Hex, isSignedBy, readRegistration, type Suite } from "@countersign/core";

/** Registration of a key that was born here: taken when it comes, kept for the next start. */
export type KeptRegistration = {
  readonly current: () => Envelope | undefined;
  /** @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED, DOMAIN_MISMATCH, NODE_NOT_ACTIVE */
  readonly take: (envelope: unknown) => Promise<void>;
};

type Expected = { readonly key: Hex; readonly network: string; readonly suite: Suite; readonly now: () => number };

/** A registration for exactly this key, as a node, on this network, in force, signed by the registrar that it names. */
function readOurs(envelope: unknown, { key, network, suite, now }: Expected): Envelope {
  const { predicate, envelope: read } = readRegistration(envelope);
  if (predicate.key !== key || predicate.role !== "node" || predicate.network !== network) {
    throw new CountersignError("DOMAIN_MISMATCH", {
      message: "The registration is for another key, role or network.",
      why: `It names ${predicate.role} ${predicate.key} on ${predicate.network}; this is node ${key} on ${network}.`,
    });
  }
  if (!isSignedBy(read, predicate.registrar, suite))
    throw new CountersignError("ENVELOPE_MALFORMED", {
      message: "The registration is not signed by the registrar that it names.",
    });
  const at = now();
  if (at < predicate.notBefore || at > predicate.notAfter)
    throw new CountersignError("NODE_NOT_ACTIVE", { message: "The registration is not in force now." });
  return read;
}

/** Opens what was kept; a registration of another key, or one that has ended, is no longer used. */
export async function openRegistration(path: string, expected: Expected): Promise<KeptRegistration> {
  let held: Envelope | undefined;
  try {
    held = readOurs(JSON.parse(await readFile(path, "utf8")), expected);
  } catch {
    // Public and signed: a file that does not hold is like none, and the node says that it is not registered.
    held = undefined;
  }
  return {
    current: () => {
      if (held && expected.now() > readRegistration(held).predicate.notAfter) held = undefined;
      return held;
    },
    async take(envelope) {
      const next = readOurs(envelope, expected);
      await writeFile(`${path}.new`, `${JSON.stringify(next)}\n`);
      await rename(`${path}.new`, path);
      held = next;
    },
  };
}
