import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CountersignError,
  canonicalBytes,
  type Deployment,
  deploymentDigest,
  type Envelope,
  readDeployment,
  type Signer,
  signDeployment,
  toHex,
} from "@countersign/core";

/** All of a deployment that its operator decides; number and link to the version before are counted. */
export type DeploymentFacts = Omit<Deployment, "suite" | "version" | "previous">;

const same = (a: Deployment, b: Deployment): boolean => toHex(canonicalBytes(a)) === toHex(canonicalBytes(b));

/**
 * The version after `previous`, or `previous` itself when nothing changed.
 *
 * @throws DEPLOYMENT_CHANGED when the facts are those of another deployment
 */
export function nextDeployment(previous: Deployment | null, facts: DeploymentFacts): Deployment {
  const suite = "countersign/deployment/v1";
  if (previous === null) return { suite, ...facts, version: 1, previous: null };
  if (previous.id !== facts.id || previous.node !== facts.node || previous.network !== facts.network) {
    throw new CountersignError("DEPLOYMENT_CHANGED", {
      message: `The version before ${facts.id} belongs to another deployment, node or network.`,
      why: "A chain of versions is about one deployment of one node on one network.",
    });
  }
  const unchanged: Deployment = { suite, ...facts, version: previous.version, previous: previous.previous };
  if (same(unchanged, previous)) return previous;
  return { suite, ...facts, version: previous.version + 1, previous: deploymentDigest(previous) };
}

const chainPath = (dir: string, id: string): string => join(dir, "deployments", `${encodeURIComponent(id)}.json`);

/**
 * The versions of one deployment, oldest first; empty when there is none.
 *
 * @throws STORE_CORRUPT when the file cannot be read or its links do not hold
 */
export async function deploymentsOf(dir: string, id: string): Promise<readonly Envelope[]> {
  const text = await readFile(chainPath(dir, id), "utf8").catch(() => undefined);
  if (text === undefined) return [];
  const corrupt = (cause?: unknown) =>
    new CountersignError("STORE_CORRUPT", { message: `The versions of deployment ${id} cannot be read.`, cause });
  let chain: readonly Envelope[];
  try {
    chain = (JSON.parse(text) as unknown[]).map((e) => readDeployment(e).envelope);
  } catch (cause) {
    throw corrupt(cause);
  }
  chain.forEach((envelope, i) => {
    const { predicate, subject } = readDeployment(envelope);
    const before = i === 0 ? null : deploymentDigest(readDeployment(chain[i - 1]).predicate);
    if (subject !== deploymentDigest(predicate) || predicate.version !== i + 1 || predicate.previous !== before)
      throw corrupt();
  });
  return chain;
}

/** Ids of all deployments that are stored. */
export async function listDeployments(dir: string): Promise<readonly string[]> {
  const names = await readdir(join(dir, "deployments")).catch(() => []);
  return names
    .filter((n) => n.endsWith(".json"))
    .map((n) => decodeURIComponent(n.slice(0, -5)))
    .sort();
}

/**
 * Appends a version when the facts changed, and gives the newest: what is in force from now on.
 *
 * @throws STORE_CORRUPT, DEPLOYMENT_CHANGED
 */
export async function advanceDeployment(
  dir: string,
  facts: DeploymentFacts,
  node: Signer,
): Promise<{ readonly deployment: Deployment; readonly envelope: Envelope; readonly changed: boolean }> {
  const chain = await deploymentsOf(dir, facts.id);
  const last = chain.at(-1);
  const previous = last === undefined ? null : readDeployment(last).predicate;
  const deployment = nextDeployment(previous, facts);
  if (last !== undefined && deployment === previous) return { deployment, envelope: last, changed: false };
  const envelope = signDeployment(deployment, node);
  await mkdir(join(dir, "deployments"), { recursive: true });
  const path = chainPath(dir, facts.id);
  await writeFile(`${path}.part`, JSON.stringify([...chain, envelope]));
  await rename(`${path}.part`, path);
  return { deployment, envelope, changed: true };
}
