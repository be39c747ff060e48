import {
  CountersignError,
  type Deployment,
  deploymentDigest,
  type EndpointPath,
  type Envelope,
  endpoints,
  fromUtf8,
  type Hex,
  hex32,
  isSignedBy,
  type NodeDescription,
  type Policy,
  parsePolicy,
  readDeployment,
  type Suite,
  type Trust,
} from "@countersign/core";
import { standingOfKey } from "@countersign/evidence-signature";
import { type Manifest, verifyManifest } from "@countersign/registry";
import * as z from "zod";
import { type Attested, isShown, needsHardware, readAttested } from "./attested.ts";
import { readBounded } from "./read-bounded.ts";

/** A deployment that a known node described and signed: all that the gateway needs to offer it. */
export type Served = {
  readonly nodeUrl: string;
  readonly node: Hex;
  readonly operator: string;
  readonly deployment: Deployment;
  readonly envelope: Envelope;
  readonly digest: Hex;
  readonly manifest: Manifest;
  /** The publisher's signed manifest. */
  readonly manifestEnvelope: Envelope;
  readonly guarantees: readonly Policy[];
  readonly about: Readonly<Record<string, string>>;
  readonly tensors: NodeDescription["deployments"][number]["tensors"];
  readonly registration: Envelope;
  /** The enclave that it runs in, as the gateway's own trust accepts it; undefined where there is none. */
  readonly attestation?: Attested | undefined;
};

/** How one node stands. */
export type NodeState = {
  readonly url: string;
  readonly state: "up" | "refused" | "unreachable";
  readonly key: Hex | null;
  readonly operator: string | null;
  /** Why it, or some of its deployments, is not offered. */
  readonly faults: readonly { readonly code: string; readonly message: string }[];
};

/** What can be offered right now. */
export type Catalogue = {
  readonly served: () => readonly Served[];
  readonly nodes: () => readonly NodeState[];
  readonly refresh: () => Promise<void>;
};

const loose = z.looseObject({});
const descriptionShape = z.looseObject({
  key: hex32,
  operator: z.string().min(1).max(128),
  registration: loose,
  attestation: z
    .string()
    .max(16 << 20)
    .optional(),
  deployments: z
    .array(
      z.looseObject({
        deployment: loose,
        manifest: loose,
        about: z.record(z.string().max(64), z.string().max(4096)),
        tensors: z.unknown().optional(),
        ready: z.boolean(),
      }),
    )
    .max(8192),
});

/** Bytes of a description that are read: a node that never ends must not fill this gateway's memory. */
const mostBytes = 64 << 20;

/** Gets a node's description. @throws NODE_UNREACHABLE */
export type Describe = (url: string) => Promise<unknown>;

/** `GET /describe` over HTTP, with the bearer token that the nodes ask for, if they do. */
export const describeOverHttp =
  (token: string | null): Describe =>
  async (url) => {
    try {
      const response = await fetch(new URL("/describe", url), {
        signal: AbortSignal.timeout(5000),
        headers: bearer(token),
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return JSON.parse(fromUtf8(await readBounded(response, mostBytes)));
    } catch (cause) {
      throw new CountersignError("NODE_UNREACHABLE", { message: `The node at ${url} does not answer.`, cause });
    }
  };

/** The header by which a node knows its gateway. */
export const bearer = (token: string | null): Record<string, string> =>
  token === null ? {} : { authorization: `Bearer ${token}` };

type Context = {
  readonly trust: Trust;
  readonly suite: Suite;
  readonly now: () => number;
};

/**
 * Reads a node's description; nothing in it is believed unchecked: the node's key must be registered, each deployment
 * signed by it, each manifest by a publisher in `Trust`.
 *
 * A deployment with a fault is left out and listed; it never takes the others with it.
 *
 * @throws NODE_NOT_ACTIVE, REQUEST_MALFORMED
 */
export function readDescription(
  value: unknown,
  nodeUrl: string,
  { trust, suite, now }: Context,
): {
  readonly key: Hex;
  readonly operator: string;
  readonly served: readonly Served[];
  readonly faults: NodeState["faults"];
} {
  const read = descriptionShape.safeParse(value);
  if (!read.success) {
    throw new CountersignError("NODE_NOT_ACTIVE", {
      message: `The node at ${nodeUrl} describes itself in a form that this version does not read.`,
      why: z.prettifyError(read.error).split("\n").slice(0, 3).join(" "),
    });
  }
  const { key, registration } = read.data;
  const keys = [registration as Envelope];
  const standing = standingOfKey({ key, role: "node", times: [now()], keys, trust, suite });
  if (standing.status === "unknown") {
    throw new CountersignError("NODE_NOT_ACTIVE", {
      message: `The node at ${nodeUrl} is not registered.`,
      why: standing.reason,
      remedy: "Register its key with a registrar of the trust file.",
    });
  }
  const faults: { code: string; message: string }[] = [];
  const attestation = attestationOf(read.data, { trust, suite, now }, faults);
  const publishers = trust.publishers.map((p) => p.key);
  const served: Served[] = [];
  for (const item of read.data.deployments) {
    if (!item.ready) continue;
    try {
      const { predicate: deployment, subject, envelope } = readDeployment(item.deployment);
      const digest = deploymentDigest(deployment);
      const fault = (why: string) => {
        throw new CountersignError("CAPABILITY_UNPROVEN", { message: why });
      };
      if (!isSignedBy(envelope, key, suite) || subject !== digest) fault(`${deployment.id} is not signed by its node.`);
      if (deployment.node !== key) fault(`${deployment.id} belongs to another node.`);
      if (deployment.network !== trust.network) fault(`${deployment.id} is of another network.`);
      const manifest = verifyManifest(item.manifest, publishers, suite);
      if (manifest.digest !== deployment.model.digest || manifest.manifest.name !== deployment.model.id) {
        throw new CountersignError("MODEL_DIGEST_MISMATCH", {
          message: `${deployment.id} names another model than the manifest beside it.`,
        });
      }
      const guarantees = deployment.guarantees.map(parsePolicy);
      const { digest: model } = deployment.model;
      const measured = attestation?.keyset.models.includes(model) ? attestation : undefined;
      const kept = guarantees.filter((g) => !needsHardware(g) || (measured && isShown(g, measured.facts, model)));
      if (kept.length < guarantees.length) {
        faults.push({
          code: "CAPABILITY_UNPROVEN",
          message: `${deployment.id} claims a level that stands on hardware, and no accepted attestation holds its model and shows its facts.`,
        });
      }
      if (kept.length === 0) continue;
      served.push({
        nodeUrl,
        node: key,
        operator: standing.operator,
        deployment,
        envelope,
        digest,
        manifest: manifest.manifest,
        manifestEnvelope: manifest.envelope,
        guarantees: kept,
        attestation: measured,
        about: item.about,
        tensors: item.tensors as Served["tensors"],
        registration: registration as Envelope,
      });
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      faults.push({ code: error.code, message: error.detail.message });
    }
  }
  return { key, operator: standing.operator, served, faults };
}

/** The node's attestation, if the trust accepts it; why not is listed, and its other levels stand. */
function attestationOf(
  described: { readonly attestation?: string | undefined; readonly key: Hex; readonly registration: unknown },
  { trust, suite, now }: Context,
  faults: { code: string; message: string }[],
): Attested | undefined {
  const { attestation, key } = described;
  if (attestation === undefined) return undefined;
  try {
    const registration = described.registration as Envelope;
    return readAttested({ attestation, key, registration, trust, suite, at: now() });
  } catch (error) {
    if (!CountersignError.is(error) && !(error instanceof RangeError)) throw error;
    const known = CountersignError.is(error) ? error : undefined;
    faults.push({ code: known?.code ?? "TEE_EVIDENCE_MALFORMED", message: known?.detail.message ?? error.message });
    return undefined;
  }
}

/** Keeps what the nodes describe; a node that stops answering is no longer offered. */
export function openCatalogue(
  options: Context & { readonly nodes: readonly string[]; readonly describe: Describe },
): Catalogue {
  const { describe } = options;
  let states: readonly { readonly node: NodeState; readonly served: readonly Served[] }[] = [];
  const look = async (url: string): Promise<(typeof states)[number]> => {
    try {
      const { key, operator, served, faults } = readDescription(await describe(url), url, options);
      return { node: { url, state: "up", key, operator, faults }, served };
    } catch (error) {
      const known = CountersignError.is(error) ? error : new CountersignError("INTERNAL", { message: "Unreadable." });
      const state = known.code === "NODE_UNREACHABLE" ? "unreachable" : "refused";
      const faults = [{ code: known.code, message: known.detail.message }];
      return { node: { url, state, key: null, operator: null, faults }, served: [] };
    }
  };
  return {
    served: () => states.flatMap((s) => s.served),
    nodes: () => states.map((s) => s.node),
    refresh: async () => {
      states = await Promise.all(options.nodes.map(look));
    },
  };
}

/** Names near a misspelt one, nearest first. */
export function nearNames(wanted: string, names: readonly string[]): readonly string[] {
  // Nobody misspells a name to this length, and the distance costs length times length, for each name.
  if (wanted.length > 128) return [];
  const near = [...new Set(names)].map((name) => ({ name, far: distance(wanted.toLowerCase(), name.toLowerCase()) }));
  return near
    .filter(
      ({ name, far }) => far <= Math.max(2, wanted.length / 3) || name.toLowerCase().includes(wanted.toLowerCase()),
    )
    .sort((a, b) => a.far - b.far || (a.name < b.name ? -1 : 1))
    .slice(0, 5)
    .map(({ name }) => name);
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** Deployments of a model that do an endpoint's job. @throws MODEL_UNKNOWN with near names, MODEL_TASK_MISMATCH */
export function findModel(served: readonly Served[], model: string, path: EndpointPath): readonly Served[] {
  const named = served.filter((s) => s.deployment.model.id === model);
  if (named.length === 0) {
    const near = nearNames(
      model,
      served.map((s) => s.deployment.model.id),
    );
    throw new CountersignError("MODEL_UNKNOWN", {
      message: `No deployment serves a model named "${model}".`,
      // A misspelt name served by a default would be a silent substitution.
      remedy:
        near.length > 0 ? `Near names: ${near.join(", ")}. GET /v1/models lists all.` : "GET /v1/models lists all.",
      param: "model",
      facts: { near },
    });
  }
  const { task } = endpoints[path];
  const fitting = named.filter((s) => s.deployment.tasks.includes(task));
  if (fitting.length > 0) return fitting;
  const tasks = [...new Set(named.flatMap((s) => s.deployment.tasks))];
  const paths = (Object.keys(endpoints) as EndpointPath[]).filter((p) => tasks.includes(endpoints[p].task));
  throw new CountersignError("MODEL_TASK_MISMATCH", {
    message: `"${model}" does not do the job of ${path}.`,
    remedy: `Ask it at ${paths.join(", ")}.`,
    param: "model",
    facts: { tasks, paths },
  });
}
