import { CountersignError, type Hex, type Suite } from "@countersign/core";
import { type Attester, modelExtension } from "@countersign/evidence-tee/make";
import { filePath, hashFile, showModel, verifyManifest } from "@countersign/registry";
import type { NodeConfig } from "../config.ts";

/**
 * Hashes every model's files against its manifest, then puts the manifests' digests into the platform's register and
 * locks it: from here on no other model can be claimed. The keys are attested after this, never before.
 *
 * The engines hash the files again when they load them: what counts there are the same digests.
 *
 * @returns Digests of the manifests, sorted, each once.
 * @throws CONFIG_INVALID for an upstream, MODEL_UNKNOWN, MANIFEST_SIGNATURE_INVALID, MODEL_DIGEST_MISMATCH
 */
export async function measureModels(
  config: Pick<NodeConfig, "catalogue" | "deployments" | "publishers">,
  attester: Attester,
  suite: Suite,
): Promise<readonly Hex[]> {
  refuseUpstreams(config);
  const digests = new Set<Hex>();
  for (const model of new Set(config.deployments.map((d) => d.model))) {
    const { envelope } = await showModel(config.catalogue, model);
    const { digest, manifest } = verifyManifest(envelope, config.publishers, suite);
    for (const resource of manifest.predicate.resources) {
      const expected = resource.digest;
      const found = await hashFile(filePath(config.catalogue, expected)).catch(() => undefined);
      if (found?.sha256 === expected) continue;
      throw new CountersignError("MODEL_DIGEST_MISMATCH", {
        message: `The file ${resource.name} of ${model} is ${found ? "another one" : "not there"}.`,
        why: "An enclave measures its models before it makes its keys: all of them must be there.",
        facts: { expected, found: found?.sha256 ?? "nothing" },
      });
    }
    digests.add(digest);
  }
  const models = [...digests].sort();
  const register = attester.modelRegister;
  if (register !== null) {
    for (const model of models) await attester.extend?.(register, modelExtension(model));
    await attester.lock?.(register);
  }
  return models;
}

/** An enclave has no network, and what asks another host is a proxy, not a model. @throws CONFIG_INVALID */
export function refuseUpstreams({ deployments }: Pick<NodeConfig, "deployments">): void {
  const upstream = deployments.find((d) => d.upstream !== undefined);
  if (!upstream) return;
  throw new CountersignError("CONFIG_INVALID", {
    message: `${upstream.model} asks another host, and an enclave has no network.`,
    why: "An enclave around a proxy proves nothing about the model behind it.",
    remedy: "Serve it by a node outside the enclave, at the level origin.",
  });
}
