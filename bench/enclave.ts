// A run inside the simulated enclave against the same run by a node outside it, over the same engine.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EndpointPath, JsonObject, RunEvent } from "../packages/core/src/index.ts";
import { ask, jobFor, register, registrationFor } from "../packages/node/src/enclave/fixtures/launched.ts";
import { launchEnclave } from "../packages/node/src/enclave/launcher.ts";
import { nodeSeed, post, testConfig, token } from "../packages/node/src/fixtures/job.ts";
import { startNode } from "../packages/node/src/serve.ts";
import { type Row, row } from "./harness/row.ts";

const rounds = 41;
const most = 5;

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] as number;

const features = { type: "float32", dims: [1, 620], data: Array.from({ length: 620 }, (_, i) => (i % 7 ? 0 : 0.25)) };
const runs: readonly { readonly name: string; readonly path: EndpointPath; readonly body: JsonObject }[] = [
  {
    name: "chat of 16 tokens",
    path: "/v1/chat/completions",
    body: { model: "countersign-pocket-mini", messages: [{ role: "user", content: "Hello" }], max_tokens: 16 },
  },
  { name: "classifier", path: "/v1/infer", body: { model: "lande-50", inputs: { features } } },
];

/** Milliseconds from the job's first byte to the last of the answer. */
async function time(url: string, path: EndpointPath, body: JsonObject): Promise<number> {
  const job = await jobFor(url, path, body);
  const started = performance.now();
  const events: readonly RunEvent[] = await post({ url }, job);
  const took = performance.now() - started;
  if (events.at(-1)?.type !== "done") throw new Error(`the run failed: ${JSON.stringify(events.at(-1))}`);
  return took;
}

/** Round trips inside and outside by turns, so that both see the same machine. */
export async function bench(): Promise<Row[]> {
  const config = await testConfig(["countersign-pocket-mini", "lande-50"]);
  const home = await mkdtemp(join(tmpdir(), "countersign-machine-"));
  const outside = await startNode({ ...config, state: `${config.state}-outside` }, { seed: nodeSeed, token });
  const inside = await launchEnclave({ ...config, enclave: { home } }, { token });
  try {
    await register(inside.url, registrationFor(inside.key));
    const rows: Row[] = [];
    for (const { name, path, body } of runs) {
      const took = { inside: [] as number[], outside: [] as number[] };
      for (let i = 0; i < rounds + 5; i++) {
        const out = await time(outside.url, path, body);
        const ins = await time(inside.url, path, body);
        if (i < 5) continue;
        took.outside.push(out);
        took.inside.push(ins);
      }
      const [within, without] = [median(took.inside), median(took.outside)];
      rows.push(
        row(`enclave (${inside.tier}), ${name}`, [within, "ms", without], without + most, within <= without + most),
      );
    }
    const relayed = { inside: [] as number[], outside: [] as number[] };
    for (let i = 0; i < 200; i++) {
      for (const [where, url] of [
        ["outside", outside.url],
        ["inside", inside.url],
      ] as const) {
        const started = performance.now();
        await (await ask(url, "/healthz")).text();
        if (i >= 20) relayed[where].push(performance.now() - started);
      }
    }
    const [relay, direct] = [median(relayed.inside), median(relayed.outside)];
    rows.push(row("enclave, relay alone", [relay, "ms", direct], direct + most, relay <= direct + most));
    return rows;
  } finally {
    await inside.close();
    await outside.close();
  }
}
