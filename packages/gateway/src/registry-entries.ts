import { type Envelope, fromHex, type Hex, noDigest, readRegistration, sha256Hex, toHex } from "@countersign/core";
import type { Served } from "./catalogue.ts";
import { encodePlainEntry } from "./plain-entry.ts";
import { blindDeployment } from "./receipt-entry.ts";

const signerOf = (envelope: Envelope): Hex => envelope.signatures[0]?.keyid ?? noDigest;

/** Entries of what the nodes serve: the registration of each node's key, each model's manifest, each deployment. */
export function registryEntries(served: readonly Served[], development: boolean): readonly Uint8Array[] {
  const entries = served.flatMap(({ node, registration, deployment, digest, envelope, manifestEnvelope }) => {
    const { registrar } = readRegistration(registration).predicate;
    const model = deployment.model.digest;
    return [
      encodePlainEntry(
        { kind: "node", subject: sha256Hex(fromHex(node)), issuer: registrar },
        registration,
        development,
      ),
      encodePlainEntry(
        { kind: "model", subject: model, issuer: signerOf(manifestEnvelope), model },
        manifestEnvelope,
        development,
      ),
      encodePlainEntry(
        { kind: "deployment", subject: digest, issuer: node, model, deployment: blindDeployment(node, deployment.id) },
        envelope,
        development,
      ),
    ];
  });
  return [...new Map(entries.map((bytes) => [toHex(bytes), bytes])).values()];
}

/** Logs what the catalogue holds and has not been logged by this process; the log itself keeps one place for equal bytes. */
export function openRegistryEntries(options: {
  readonly served: () => readonly Served[];
  readonly append: (entry: Uint8Array) => Promise<unknown>;
  readonly development: boolean;
}): { readonly flush: () => Promise<void> } {
  const logged = new Set<Hex>();
  return {
    async flush() {
      const fresh = registryEntries(options.served(), options.development).filter((bytes) => !logged.has(toHex(bytes)));
      await Promise.all(fresh.map(options.append));
      for (const bytes of fresh) logged.add(toHex(bytes));
    },
  };
}
