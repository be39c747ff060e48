import { CountersignError, type Json, type JsonObject, type Verdict } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { findOnnxModel } from "@countersign/node";
import { type Client, countersign, privateKeyWallet } from "@countersign/sdk";
import { inferTensors } from "../tasks.ts";
import { exampleOf } from "./examples.ts";
import { type Network, upstreamId } from "./start.ts";

/** One paid inference and what its receipt showed. */
export type Checked = {
  readonly name: string;
  readonly model: string;
  readonly outcome: Verdict["outcome"] | "error";
  readonly answer: string;
  /** Micro test-USD that were charged. */
  readonly charged: string | null;
  readonly receiptRoot: string | null;
  readonly final: boolean;
  readonly development: boolean;
  readonly ms: number;
  /** Error code, when it failed. */
  readonly code?: string;
  readonly message?: string;
};

/** A client of the local network with its demonstration wallet; it names the trust file and allows development itself. */
export function localClient(network: Pick<Network, "gatewayUrl" | "walletKey" | "trust">): Client {
  return countersign({
    gateway: network.gatewayUrl,
    wallet: privateKeyWallet(network.walletKey),
    trust: network.trust,
    allowDevelopment: true,
    budget: { perRequest: 100_000, total: 50_000_000 },
    suite: nodeSuite,
  });
}

const question: readonly JsonObject[] = [
  { role: "system", content: "Answer briefly." },
  { role: "user", content: "What is the capital of France?" },
];

type Judged = { readonly verdict: Verdict; readonly payment: { readonly amount: string } | null };

async function timed(
  name: string,
  model: string,
  run: () => Promise<Judged & { readonly answer: string }>,
): Promise<Checked> {
  const start = performance.now();
  const ms = () => Math.round(performance.now() - start);
  try {
    const { verdict, payment, answer } = await run();
    const { outcome, receiptRoot, final, development } = verdict;
    return {
      name,
      model,
      outcome,
      answer,
      charged: payment?.amount ?? null,
      receiptRoot,
      final,
      development,
      ms: ms(),
    };
  } catch (error) {
    const known = CountersignError.is(error) ? error : undefined;
    const message = known?.detail.message ?? (error instanceof Error ? error.message : String(error));
    return {
      name,
      model,
      outcome: "error",
      answer: "",
      charged: null,
      receiptRoot: null,
      final: false,
      development: true,
      ms: ms(),
      code: known?.code ?? "INTERNAL",
      message,
    };
  }
}

/** The levels of a node's word, from weak to strong; `audit` is the strongest preset without hardware or proofs. */
export const offeredLevels = ["signature", "signature & logged", "audit"] as const;
/** The levels of an enclave; the last one travels sealed, so that gateway and operator see no word of it. */
export const enclaveLevels = ["tee", "tee & signature", "audit & tee & confidential:tee"] as const;

/** One paid chat per level, each checked by the SDK before its answer is read. */
export async function checkLevels(network: Network, onDone?: (done: Checked) => void): Promise<readonly Checked[]> {
  const client = localClient(network);
  const model = network.models.find((m) => m === "countersign-pocket") ?? (network.models[0] as string);
  const results: Checked[] = [];
  const asked: { readonly level: string; readonly model: string }[] = offeredLevels.map((level) => ({ level, model }));
  const [enclosed] = network.enclave?.models ?? [];
  if (enclosed !== undefined) asked.push(...enclaveLevels.map((level) => ({ level, model: enclosed })));
  if (network.models.includes(upstreamId)) asked.unshift({ level: "origin", model: upstreamId });
  for (const { level, model } of asked) {
    const done = await timed(level, model, async () => {
      const answer = await client.chat(question, { model, policy: level, synthetic: true });
      return { ...answer, answer: answer.text ?? "" };
    });
    results.push(done);
    onDone?.(done);
  }
  return results;
}

/** A friendly answer in a few words: long blobs stay out of the table. */
const brief = (said: Json | undefined): string | undefined =>
  said === undefined
    ? undefined
    : JSON.stringify(said, (_, v) => (typeof v === "string" && v.length > 64 ? `${v.slice(0, 12)}…` : v));

/** One paid inference per model. */
export async function checkModels(network: Network, onDone?: (done: Checked) => void): Promise<readonly Checked[]> {
  const client = localClient(network);
  const results: Checked[] = [];
  for (const model of network.models.filter((m) => m !== upstreamId)) {
    const source = findOnnxModel(model);
    const done = await timed(source?.job ?? "chat", model, async () => {
      if (!source) {
        const answer = await client.chat(question.slice(1), { model, policy: "signature", synthetic: true });
        return { ...answer, answer: answer.text ?? "" };
      }
      const { tensors, body } = await exampleOf(model);
      const answer = await inferTensors(client, model, tensors, body, { policy: "signature", synthetic: true });
      return { ...answer, answer: brief(answer.said) ?? Object.keys(answer.outputs).join(", ") };
    });
    results.push(done);
    onDone?.(done);
  }
  return results;
}
