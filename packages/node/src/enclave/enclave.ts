import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CountersignError, fromHex, type Hex, keyFor } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import type { Attester } from "@countersign/evidence-tee/make";
import type { NodeConfig } from "../config.ts";
import { systemRandom } from "../run.ts";
import { type RunningNode, startNode } from "../serve.ts";
import { attestKeys, type NodeEnclave } from "./attested.ts";
import { measureModels } from "./measure-models.ts";
import type { Provenance } from "./provenance.ts";
import { openRegistration } from "./registration.ts";
import { openSealed } from "./sealed.ts";
import { openStateFolder } from "./state-folder.ts";

/** How often it is looked whether something is due; what is due is decided by its age. */
const renewalCheck = 60_000;

/** A node inside an enclave. */
export type RunningEnclave = {
  readonly node: RunningNode;
  readonly key: Hex;
  readonly attestation: () => Uint8Array;
  readonly close: () => Promise<void>;
};

/**
 * The story of an enclave: hash the models, measure and lock them, open the sealed keys or draw new ones, have them
 * attested, then serve. Whatever fails on the way ends it: it never serves unattested.
 *
 * Time inside is the host's word: expiry and renewal follow his clock, which is why verifiers bring their own.
 *
 * @param options.path Unix socket to serve on; absent: the configuration's host and port.
 * @param options.newKeys The operator's word to leave sealed keys of another measurement behind.
 * @throws TEE_UNAVAILABLE, TEE_SEALED_ELSEWHERE, MODEL_DIGEST_MISMATCH, and what `startNode` throws
 */
export async function startEnclave(
  config: NodeConfig,
  options: {
    readonly attester: Attester;
    readonly token: string;
    readonly sealingKey?: Uint8Array | null;
    readonly newKeys?: boolean;
    readonly provenance?: Provenance;
    readonly path?: string;
    readonly now?: () => number;
  },
): Promise<RunningEnclave> {
  const { attester, token, now = Date.now } = options;
  await openStateFolder(config.state);
  const models = await measureModels(config, attester, nodeSuite);
  const sealed = await openSealed({
    path: join(config.state, "sealed.bin"),
    key: options.sealingKey ?? (await attester.sealingKey?.()) ?? null,
    newKeys: options.newKeys ?? false,
    random: systemRandom,
  });
  const { seeds } = sealed;
  const keys = await attestKeys({
    seeds,
    network: config.network,
    models,
    attester,
    random: systemRandom,
    provenance: options.provenance ?? [],
    now,
  });
  const key = keyFor(keys.current().keyset, "receipt") as Hex;
  // What is signed by a key belongs to it: new keys start with no deployments, no request tags and no registration.
  const state = join(config.state, key);
  await mkdir(state, { recursive: true, mode: 0o700 });
  const registration = await openRegistration(join(state, "registration.json"), {
    key,
    network: config.network,
    suite: nodeSuite,
    registrars: config.registrars,
    now,
  });
  const { current, channel, attest } = keys;
  const enclave: NodeEnclave = {
    current,
    channel,
    attest,
    registration: registration.current,
    register: registration.take,
  };
  const node = await startNode(
    { ...config, state },
    { seed: fromHex(seeds.receipt), token },
    { enclave, now, env: {}, ...(options.path !== undefined && { path: options.path }) },
  );
  requireMeasured(node, models);
  const timer = setInterval(() => {
    // Said, not swallowed: an hour later, or when its certificates end, the node refuses to run anything.
    keys.refresh().catch((error: unknown) => console.error("The attestation could not be renewed:", error));
  }, renewalCheck);
  timer.unref();
  return {
    node,
    key,
    attestation: () => current().attestation,
    async close() {
      clearInterval(timer);
      await node.close();
      await attester.close();
    },
  };
}

/** The catalogue is the host's: what is served must be what was measured, not what lay there a moment later. */
function requireMeasured({ context }: RunningNode, models: readonly Hex[]): void {
  const foreign = context.served.find((s) => !models.includes(s.deployment.model.digest));
  if (!foreign) return;
  throw new CountersignError("TEE_MODEL_NOT_MEASURED", {
    message: `${foreign.deployment.id} is another model than was measured a moment ago.`,
    why: "The catalogue changed while the enclave started.",
  });
}
