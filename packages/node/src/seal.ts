import {
  type Commitment,
  canonicalBytes,
  commit,
  type Envelope,
  fromHex,
  type Hex,
  leafBytes,
  modelLeafShape,
  offerLeafShape,
  outputElements,
  paramsBytes,
  profileLeafShape,
  type RunEvent,
  resultLeafShape,
  type Signer,
  type Statement,
  toHex,
} from "@countersign/core";
import { makeSignature } from "@countersign/evidence-signature";
import type { CheckedJob } from "./check-job.ts";
import { attestationItem, type NodeEnclave } from "./enclave/attested.ts";
import type { Execution } from "./execution.ts";

/** What sealing needs besides the run. */
export type SealContext = {
  readonly signer: Signer;
  readonly keys: readonly Envelope[];
  readonly now: () => number;
  /** Bytes from the system's randomness. */
  readonly random: (length: number) => Uint8Array;
  /** The enclave that this process is: its attestation goes with each receipt. */
  readonly enclave?: NodeEnclave;
};

type Done = Extract<RunEvent, { readonly type: "done" }>;

/** A run that is committed to and not signed yet: what a sealed answer's private part is made of. */
export type CommittedRun = Commitment & { readonly receiptSecret: Hex };

/** Commits to a run and signs it: sixteen salted leaves, one root, one statement (spec/receipt.md §3, §4). */
export const sealRun = (checked: CheckedJob, execution: Execution, context: SealContext): Done =>
  signCommitted(checked, execution, commitRun(checked, execution, context), context);

/** Commits to a run. The receipt secret is drawn here, given out for the payer, and kept nowhere. */
export function commitRun(
  checked: CheckedJob,
  execution: Execution,
  context: Pick<SealContext, "random">,
): CommittedRun {
  const { job, request, served } = checked;
  const { deployment } = served;
  const receiptSecret = context.random(32);
  const commitment = commit(
    {
      ...request.contents,
      forwarded: execution.forwarded,
      modelInput: execution.modelInput,
      params: paramsBytes({ ...execution.defaults, ...request.params }),
      clientNonce: fromHex(job.clientNonce),
      policy: checked.policy,
      offer: leafBytes(offerLeafShape, { offer: checked.offerDigest, terms: null, step: 0, links: [] }),
      payment: job.payment === null ? undefined : canonicalBytes(job.payment),
      promptVersion: undefined,
      model: leafBytes(modelLeafShape, {
        requested: request.model,
        manifest: deployment.model.digest,
        deployment: { id: deployment.id, version: deployment.version },
        served: execution.served,
        substitutedFrom: execution.substitutedFrom,
      }),
      profile: leafBytes(profileLeafShape, execution.profile),
      output: outputElements(execution.outputs),
      result: leafBytes(resultLeafShape, {
        usage: execution.result.usage,
        finish: [...execution.result.finish],
        timings: execution.result.timings,
      }),
    },
    () => receiptSecret,
  );
  return { ...commitment, receiptSecret: toHex(receiptSecret) };
}

/** Signs a run that was committed to. */
export function signCommitted(
  checked: CheckedJob,
  execution: Execution,
  { roots, leaves, openings, receiptSecret }: CommittedRun,
  context: SealContext,
  /** How request and answer travelled, when sealed. */
  channel?: Statement["channel"],
): Done {
  const { job, served, offer } = checked;
  const { deployment } = served;
  const statement: Statement = {
    suite: "countersign/receipt/v1",
    network: offer.network,
    issuer: toHex(context.signer.publicKey),
    endpoint: job.path,
    requestTag: checked.requestTag,
    requestDigest: toHex(checked.requestDigest),
    model: deployment.model,
    deployment: { id: deployment.id, version: deployment.version },
    scope: deployment.scope,
    policy: {
      demanded: job.demand.require,
      bought: offer.guarantee,
      release: job.demand.release,
      deadline: job.demand.deadline,
      source: job.demand.source,
    },
    rewrites: [...new Set(execution.rewrites)].sort(),
    ownerSalted: [],
    outcome: "complete",
    nonceSource: job.nonceSource,
    issuedAt: context.now(),
    log: job.log,
    ...(channel && { channel }),
    labels: [...new Set([...job.labels, ...deployment.labels])].sort(),
  };
  const { enclave, signer } = context;
  return {
    type: "done",
    statement: makeSignature({ roots }, statement, signer),
    leaves,
    openings,
    receiptSecret,
    result: execution.result,
    keys: context.keys,
    ...(enclave && {
      evidence: [attestationItem(roots.receiptRoot, enclave.current(channel?.keyset), signer, statement.issuedAt)],
    }),
  };
}
