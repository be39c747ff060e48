import { describePolicy, levels, parsePolicy, presets, printPolicy, ways } from "@countersign/core";
import type { Served } from "./catalogue.ts";

const levelsOf = (served: Served): string[] =>
  levels.filter((level) =>
    served.guarantees.some((guarantee) => {
      const has = new Set(ways(guarantee).flatMap((way) => way.map(printPolicy)));
      return ways(parsePolicy(printPolicy(presets[level]))).every((way) => way.every((r) => has.has(printPolicy(r))));
    }),
  );

/** A model as `/v1/models` shows it: OpenAI's fields, and what can be bought in `countersign`. */
function describeModel(served: readonly Served[]) {
  const [first] = served as readonly [Served, ...Served[]];
  const { predicate } = first.manifest;
  return {
    id: first.deployment.model.id,
    object: "model",
    created: 0,
    owned_by: first.operator,
    countersign: {
      digest: first.deployment.model.digest,
      title: predicate.countersign.title,
      quantisation: predicate.countersign.quantisation,
      licence: predicate.countersign.licence,
      about: first.about,
      levels: [...new Set(served.flatMap(levelsOf))],
      guarantees: [...new Set(served.flatMap((s) => s.guarantees.map(describePolicy)))],
      deployment: deploymentOf(first),
      deployments: served.map(deploymentOf),
      tasks: first.deployment.tasks,
      scope: first.deployment.scope,
      price: first.deployment.price,
      limits: first.deployment.limits,
      labels: first.deployment.labels,
      ...(first.tensors && { tensors: first.tensors }),
    },
  };
}

const deploymentOf = ({ deployment, node, operator, digest }: Served) => ({
  id: deployment.id,
  version: deployment.version,
  digest,
  node,
  operator,
  scope: deployment.scope,
  tasks: deployment.tasks,
  guarantees: deployment.guarantees,
  price: deployment.price,
  limits: deployment.limits,
  rewrites: deployment.rewrites,
  promptVersion: deployment.promptVersion,
  labels: deployment.labels,
});

/** One model, with the signed documents behind it: they are logged by the digest of what was signed. */
export function describeModelWhole(served: readonly Served[]) {
  const whole = describeModel(served);
  const [first] = served as readonly [Served, ...Served[]];
  const documents = {
    manifest: first.manifestEnvelope,
    deployments: served.map((s) => s.envelope),
    registrations: [...new Map(served.map((s) => [s.node, s.registration])).values()],
  };
  return { ...whole, countersign: { ...whole.countersign, documents } };
}

/** Every model, by name. */
export function listModels(served: readonly Served[]): readonly ReturnType<typeof describeModel>[] {
  const names = [...new Set(served.map((s) => s.deployment.model.id))].sort();
  return names.map((name) => describeModel(served.filter((s) => s.deployment.model.id === name)));
}
