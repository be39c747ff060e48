import { stat } from "node:fs/promises";
import {
  CountersignError,
  type Hex,
  parsePolicy,
  printPolicy,
  type Signer,
  type Suite,
  type Task,
} from "@countersign/core";
import { advanceDeployment, filePath, type ReadManifest, showModel, verifyManifest } from "@countersign/registry";
import type { DeploymentConfig, NodeConfig } from "./config.ts";
import { findOnnxModel } from "./models/index.ts";
import type { EngineSpec, Served } from "./served.ts";

/** Prices where the configuration names none, in micro test-USD. */
export const defaultPrices = {
  language: { base: "100", perInputKiB: "10", perOutputToken: "2" },
  tensors: { base: "50", perInputKiB: "0", perOutputToken: "0" },
} as const;
const defaultContext = 2048;
const defaultMaxOutput = 512;

/** What a node needs to put its deployments in force. */
export type DeployContext = {
  readonly config: NodeConfig;
  readonly signer: Signer;
  readonly key: Hex;
  readonly suite: Suite;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether this process is an enclave with an attestation. */
  readonly attested?: boolean;
};

/**
 * Puts a configured deployment in force: its manifest is checked against the publishers, its version counted up if
 * anything about it changed.
 *
 * @throws MODEL_UNKNOWN, MANIFEST_SIGNATURE_INVALID, MANIFEST_MALFORMED, CONFIG_INVALID, STORE_CORRUPT, POLICY_MALFORMED
 */
export async function deploy(given: DeploymentConfig, context: DeployContext): Promise<Served> {
  const { config, suite } = context;
  const found = await showModel(config.catalogue, given.model);
  const manifest = verifyManifest(found.envelope, config.publishers, suite);
  const engine = specOf(given, manifest, context);
  const id = given.id ?? given.model;
  const origin = engine.kind === "upstream";
  const text = engine.kind !== "onnx";
  const { deployment, envelope } = await advanceDeployment(
    config.state,
    {
      network: config.network,
      node: context.key,
      id,
      model: { id: given.model, digest: manifest.digest },
      scope: origin ? "origin" : "inference",
      tasks: given.tasks ?? tasksOf(engine),
      guarantees: (given.guarantees ?? usualGuarantees(origin, context.attested ?? false)).map((g) =>
        printPolicy(parsePolicy(g)),
      ),
      price: given.price ?? (text ? defaultPrices.language : defaultPrices.tensors),
      limits: {
        context: text ? (given.context ?? defaultContext) : null,
        maxOutput: text ? (given.maxOutput ?? Math.min(defaultMaxOutput, given.context ?? defaultContext)) : null,
      },
      promptVersion: null,
      rewrites: rewritesOf(engine),
      labels: [...new Set(given.labels ?? [])].sort(),
    },
    context.signer,
  );
  return { deployment, envelope, manifest, about: aboutOf(manifest), engine };
}

/** What a node delivers where nobody says otherwise: from an enclave the operator's word alone, or with its attestation. */
const usualGuarantees = (origin: boolean, enclave: boolean): readonly string[] =>
  origin ? ["origin"] : enclave ? ["signature", "signature & tee"] : ["signature"];

/** Rewrites that can occur; a receipt names those that did. A template's own words are none: the manifest covers them. */
const rewritesOf = (engine: EngineSpec): string[] => (engine.kind === "upstream" ? ["model"] : []);

function tasksOf(engine: EngineSpec): Task[] {
  if (engine.kind === "llama") return ["chat", "completion", "responses"];
  if (engine.kind === "upstream") return ["chat", "completion"];
  return engine.task?.path === "/v1/embeddings" ? ["embedding", "tensors"] : ["tensors"];
}

function aboutOf({ manifest }: ReadManifest): Readonly<Record<string, string>> {
  const { title, job, licence, quantisation, architecture, parameters } = manifest.predicate.countersign;
  return {
    title,
    job,
    licence,
    quantisation,
    architecture,
    parameters: parameters === null ? "unknown" : String(parameters),
  };
}

function specOf(given: DeploymentConfig, { manifest }: ReadManifest, { config, env }: DeployContext): EngineSpec {
  const { countersign, resources } = manifest.predicate;
  const invalid = (message: string) => new CountersignError("CONFIG_INVALID", { message });
  if ((countersign.engine === "upstream") !== (given.upstream !== undefined))
    throw invalid(`${given.model}: a manifest of an upstream model and an upstream to ask belong together.`);
  if (given.upstream) {
    const { url, model, apiKeyVariable, allowSubstitution } = given.upstream;
    const apiKey = apiKeyVariable === undefined ? null : env[apiKeyVariable];
    if (apiKey === undefined) throw invalid(`The environment variable ${apiKeyVariable} is not set.`);
    return { kind: "upstream", url, model, apiKey, allowSubstitution: allowSubstitution ?? false };
  }
  const at = resources.findIndex((r) => r.name === countersign.entry);
  const sha256 = resources[at]?.digest as Hex;
  const file = { path: filePath(config.catalogue, sha256), sha256, bytes: countersign.files[at]?.size ?? 0 };
  const dtype = countersign.quantisation;
  if (countersign.engine === "llama.cpp") {
    return {
      kind: "llama",
      ...file,
      dtype,
      context: given.context ?? defaultContext,
      batch: given.batch ?? 512,
      flashAttention: given.flashAttention ?? false,
    };
  }
  const source = findOnnxModel(given.model);
  if (!source || source.sha256 !== sha256)
    throw invalid(`The inputs and outputs of ${given.model} are not known here.`);
  const { inputs, outputs, task } = source;
  return { kind: "onnx", ...file, dtype, graph: given.graph ?? "all", inputs, outputs, ...(task && { task }) };
}

/** Whether a deployment's file lies where it should, with the size it should have. */
export async function isPresent(engine: EngineSpec): Promise<boolean> {
  if (engine.kind === "upstream") return true;
  return stat(engine.path).then(
    (found) => found.size === engine.bytes,
    () => false,
  );
}
