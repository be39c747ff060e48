import { type Envelope, fromHex, type Hex, noDigest, readRegistration, sha256Hex, toHex } from "@countersign/core";
import type { Attestations } from "./attestations.ts";
import type { Attested } from "./attested.ts";
import type { Served } from "./catalogue.ts";
import { encodeDocumentEntry, encodePlainEntry } from "./plain-entry.ts";
import { blindDeployment } from "./receipt-entry.ts";

const signerOf = (envelope: Envelope): Hex => envelope.signatures[0]?.keyid ?? noDigest;

/** Entries of what the nodes serve: the registration of each node's key, each model's manifest, each deployment. */
export function registryEntries(served: readonly Served[], development: boolean): readonly Uint8Array[] {
  const entries = served.flatMap((one) => {
    const { node, registration, deployment, digest, envelope, manifestEnvelope, attestation } = one;
    const { registrar } = readRegistration(registration).predicate;
    const model = deployment.model.digest;
    return [
      encodePlainEntry(
        {
          kind: "node",
          subject: sha256Hex(fromHex(node)),
          issuer: registrar,
          ...(attestation && { hardware: attestation.assurance }),
        },
        registration,
        development,
      ),
      ...(attestation ? [attestationEntry(node, attestation, development)] : []),
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

/** Entry of an enclave's document: anybody who has it can find that it was known at the time. */
const attestationEntry = (node: Hex, { digest, keysetDigest, assurance }: Attested, development: boolean) =>
  encodeDocumentEntry(
    { kind: "evidence", subject: keysetDigest, issuer: node, hardware: assurance },
    digest,
    development,
  );

/** Logs what the catalogue holds and has not been logged by this process; the log itself keeps one place for equal bytes. */
export function openRegistryEntries(options: {
  readonly served: () => readonly Served[];
  readonly append: (entry: Uint8Array) => Promise<unknown>;
  /** Where the enclaves' documents are kept. */
  readonly attestations: Pick<Attestations, "put">;
  readonly development: boolean;
}): { readonly flush: () => Promise<void> } {
  const logged = new Set<Hex>();
  return {
    async flush() {
      for (const { attestation } of options.served())
        if (attestation) await options.attestations.put(attestation.bytes);
      const fresh = registryEntries(options.served(), options.development).filter((bytes) => !logged.has(toHex(bytes)));
      await Promise.all(fresh.map(options.append));
      for (const bytes of fresh) logged.add(toHex(bytes));
    },
  };
}
