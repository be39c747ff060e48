import {
  CountersignError,
  type Demand,
  describePolicy,
  factsSuffice,
  type Policy,
  printPolicy,
  type Requirement,
  tighten,
  ways,
} from "@countersign/core";
import type { Served } from "./catalogue.ts";
import type { Order } from "./order.ts";

/** Whether a deployment can keep what is demanded, and what is then bought. */
export type Match =
  | { readonly state: "offerable"; readonly bought: Policy }
  | {
      readonly state: "short";
      readonly missing: readonly { readonly requirement: Requirement; readonly why: string }[];
    };

/** What the gateway itself adds to any deployment's guarantee. */
export type Additions = { readonly logged: boolean };

const plain = (claim: Requirement["claim"], ground: Requirement["ground"]): Requirement => ({
  claim,
  ground,
  facts: {},
});

/** Whether the draw will be provably the client's: he drew the nonce, or nothing is drawn (protocol-review A4). */
const drawsForClient = (order: Pick<Order, "clientNonce" | "request" | "path">): boolean =>
  order.clientNonce !== undefined ||
  order.path === "/v1/embeddings" ||
  order.path === "/v1/infer" ||
  order.request.value.temperature === 0;

/** Facts that a finding about this deployment will carry although its guarantee doesn't name them. */
function factsOf({ claim, ground, facts }: Requirement, served: Served): Requirement["facts"] {
  const { deployment, operator, attestation } = served;
  if (ground === "hardware") {
    return { ...attestation?.facts, ...(claim === "model" && { digest: deployment.model.digest }), ...facts };
  }
  if (ground !== "signature") return facts;
  return {
    scope: deployment.scope,
    // As evidence-signature has it: a name that is no fact value gives no fact, since two names must not share a spelling.
    ...(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(operator) && { operator }),
    ...(claim === "model" && { digest: deployment.model.digest }),
    ...facts,
  };
}

/**
 * Finds a way to meet the demand with this deployment: some way all of whose requirements are delivered by one of its
 * guarantees and by what the gateway adds.
 */
export function matchGuarantee(
  demand: Demand,
  served: Served,
  order: Pick<Order, "clientNonce" | "request" | "path"> & { readonly sealed?: unknown },
  additions: Additions,
): Match {
  const added: Requirement[] = [plain("payment", "signature")];
  if (additions.logged) added.push(plain("logged", "log"));
  if (drawsForClient(order)) added.push(plain("sampling", "signature"));
  if (served.attestation) {
    // What an enclave's statement carries besides its level; `confidential` only where the request came sealed.
    added.push(plain("request", "hardware"), plain("origin", "hardware"));
    if (order.sealed !== undefined) added.push(plain("confidential", "hardware"));
  }
  let best: Extract<Match, { state: "short" }> | undefined;
  for (const guarantee of served.guarantees) {
    for (const way of ways(demand.policy)) {
      const missing = way.flatMap((requirement) => {
        const why = whyMissing(requirement, guarantee, served, added, demand);
        return why === undefined ? [] : [{ requirement, why }];
      });
      if (missing.length === 0) {
        const extra = way.filter((r) => added.some((a) => a.claim === r.claim && a.ground === r.ground));
        return { state: "offerable", bought: tighten(guarantee, ...extra) };
      }
      if (best === undefined || missing.length < best.missing.length) best = { state: "short", missing };
    }
  }
  return best ?? { state: "short", missing: [] };
}

function whyMissing(
  requirement: Requirement,
  guarantee: Policy,
  served: Served,
  added: readonly Requirement[],
  demand: Demand,
): string | undefined {
  const same = (d: Requirement) => d.claim === requirement.claim && d.ground === requirement.ground;
  const delivers = (d: Requirement) => same(d) && factsSuffice(factsOf(d, served), requirement.facts);
  // A guarantee with alternatives promises only what all of them hold.
  const kept = added.some(delivers) || ways(guarantee).every((way) => way.some(delivers));
  const late = requirement.ground === "reexecution" || requirement.ground === "sampled";
  if (kept && late && demand.release === "met") {
    return "it arrives after the answer; ask with release=signed or release=live";
  }
  if (kept) return undefined;
  const near = [...ways(guarantee).flat(), ...added].find(same);
  if (near !== undefined) return `it is offered with ${otherFacts(requirement, factsOf(near, served))}`;
  if (requirement.claim === "confidential") {
    if (requirement.ground !== "hardware")
      return "it can only stand on hardware: a signature cannot show what its signer has read; ask for confidential:tee";
    if (served.attestation) return "the request must come sealed to the node's attested key, as the SDK sends it";
  }
  if (requirement.claim === "sampling") return "draw the nonce yourself (X-Countersign-Nonce)";
  return "no deployment of this model delivers it";
}

/** What is offered of the facts that were demanded, where it is not what was demanded. */
function otherFacts({ facts }: Requirement, offered: Requirement["facts"]): string {
  const other = Object.entries(facts).filter(([name, wanted]) => !factsSuffice(offered, { [name]: wanted }));
  return other.map(([name]) => (offered[name] === undefined ? `no ${name}` : `${name}=${offered[name]}`)).join(", ");
}

/** The refusal when no deployment can keep the demand: it names what is missing, before anybody pays (O6). */
export function notOffered(
  model: string,
  shortest: Extract<Match, { state: "short" }>,
  served: readonly Served[],
): CountersignError {
  const missing = shortest.missing.map(({ requirement, why }) => ({ requirement: printPolicy(requirement), why }));
  const offered = [...new Set(served.flatMap((s) => s.guarantees.map(describePolicy)))];
  return new CountersignError("ASSURANCE_NOT_OFFERED", {
    message: `No deployment of ${model} can meet the demanded policy; nothing was charged.`,
    why: `Missing: ${missing.map((m) => `${m.requirement} (${m.why})`).join("; ")}.`,
    remedy: `What is offered for this model: ${offered.join(", ")}.`,
    param: "verification",
    facts: { missing, offered },
  });
}
