import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { CountersignError, type JsonObject, type Receipt, readEvidence, type Verdict } from "@countersign/core";
import type { CallOptions } from "@countersign/sdk";
import type { Command } from "commander";
import { type Connection, type ConnectOptions, connect, connectable } from "../connect.ts";
import { verdictLine } from "../show-verdict.ts";
import { note, paint, print, printable, printJson } from "../terminal.ts";

type Options = ConnectOptions & {
  readonly model?: string;
  readonly system?: string;
  readonly policy?: string;
  readonly release?: "met" | "signed" | "live";
  readonly maxTokens?: string;
  readonly temperature?: string;
  readonly seed?: string;
  readonly save?: string;
  readonly json?: boolean;
};

const number = (text: string | undefined, name: string): number | undefined => {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new CountersignError("COMMAND_MISUSED", { message: `--${name} takes a number, not "${text}".` });
};

/** The model that was named, or the gateway's first that chats. */
async function chooseModel(connection: Connection, wanted: string | undefined): Promise<string> {
  if (wanted !== undefined) return wanted;
  const models = await connection.client.models();
  const chats = models.filter((m) => {
    const { tasks } = (m.countersign ?? {}) as { tasks?: readonly string[] };
    return tasks?.includes("chat");
  });
  const ids = chats.map((m) => String(m.id));
  const model = ids.find((id) => id.startsWith("smollm2")) ?? ids[0];
  if (model !== undefined) return model;
  throw new CountersignError("MODEL_UNKNOWN", { message: "This gateway serves no model that chats." });
}

export function chatCommand(program: Command): void {
  connectable(
    program
      .command("chat")
      .summary("talk to a model; each answer shows its verdict")
      .description(
        "Talks to a model. Each answer is paid, receipted and checked; its verdict stands under it. Without a prompt it is interactive.",
      )
      .argument("[prompt]", 'one question; "-" reads it from standard input')
      .option("--model <name>", "model, with an optional level: countersign-pocket:signature")
      .option("--system <text>", "system prompt")
      .option("--policy <policy>", 'what you demand of each answer (default: "signature & logged")')
      .option("--release <rule>", "when content may be shown: met, signed or live")
      .option("--max-tokens <n>", "most tokens of an answer", "128")
      .option("--temperature <t>", "0 takes the most likely token")
      .option("--seed <n>", "seed of the draw")
      .option("--save <file>", "write the last receipt, complete, for countersign verify and replay")
      .option("--json", "one question: print answer, verdict and payment as JSON"),
  ).action(async (prompt: string | undefined, options: Options) => {
    const connection = await connect(options);
    const model = await chooseModel(connection, options.model);
    const history: JsonObject[] = options.system === undefined ? [] : [{ role: "system", content: options.system }];
    if (prompt !== undefined) {
      const text = prompt === "-" ? await readAll() : prompt;
      await ask(connection, model, [...history, { role: "user", content: text }], options);
      return;
    }
    if (process.stdin.isTTY !== true) {
      throw new CountersignError("COMMAND_MISUSED", {
        message: "There is no terminal to chat in.",
        remedy: 'Give the question as an argument, or "-" to read it from standard input.',
      });
    }
    note(paint("dim", `${model} at ${connection.gateway}. An empty line or Ctrl-D ends.`, process.stderr));
    const lines = createInterface({ input: process.stdin, output: process.stdout });
    for (;;) {
      const line = (await lines.question(paint("bold", "> ")).catch(() => "")).trim();
      if (line === "") break;
      history.push({ role: "user", content: line });
      const answer = await ask(connection, model, history, options).catch((error: unknown) => {
        if (!CountersignError.is(error)) throw error;
        note(`${paint("red", "refused", process.stderr)} ${error.message}`);
        return undefined;
      });
      if (answer === undefined) history.pop();
      else history.push({ role: "assistant", content: answer });
    }
    lines.close();
  });
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8").trim();
}

async function ask(
  connection: Connection,
  model: string,
  messages: readonly JsonObject[],
  options: Options,
): Promise<string> {
  const temperature = number(options.temperature, "temperature");
  const seed = number(options.seed, "seed");
  const body: JsonObject = {
    model,
    messages: [...messages],
    max_tokens: number(options.maxTokens, "max-tokens") ?? 128,
    ...(temperature !== undefined && { temperature }),
    ...(seed !== undefined && { seed }),
  };
  const call: CallOptions = {
    ...(options.policy !== undefined && { policy: options.policy }),
    ...(options.release !== undefined && { release: options.release }),
  };
  const started = performance.now();
  if (options.json) {
    const { text, verdict, payment, receipt } = await connection.client.chat(body, call);
    if (options.save !== undefined) await save(options.save, receipt);
    printJson({ text, outcome: verdict.outcome, verdict, payment, receiptRoot: verdict.receiptRoot });
    return text ?? "";
  }
  const stream = await connection.client.stream(body, call);
  let text = "";
  for await (const chunk of stream) {
    const [choice] = (chunk.choices ?? []) as readonly { readonly delta?: { readonly content?: string } }[];
    const piece = choice?.delta?.content ?? "";
    text += piece;
    process.stdout.write(printable(piece));
  }
  print();
  const { verdict, payment, receipt } = await stream.judged;
  print(footer(verdict, payment?.amount, performance.now() - started));
  if (options.save !== undefined) {
    await save(options.save, receipt);
    note(`Receipt written to ${options.save}. It is your own copy: it can open every field.`);
  }
  return text;
}

async function save(path: string, receipt: Receipt): Promise<void> {
  await writeFile(path, `${JSON.stringify(receipt)}\n`, { mode: 0o600 });
  const said = shortLived(receipt);
  if (said !== undefined) note(paint("yellow", said, process.stderr));
}

/** What to say of a receipt whose attestation lapses within hours because no log says when it was used; else undefined. */
export function shortLived({ evidence, inclusion }: Pick<Receipt, "evidence" | "inclusion">): string | undefined {
  const isTee = ({ envelope }: Receipt["evidence"][number]) => readEvidence(envelope).predicate.kind === "tee";
  return inclusion.length === 0 && evidence.some(isTee)
    ? 'This receipt is not logged: its attestation is judged for now, and lapses within about three hours. Ask for "tee & logged" to keep it checkable.'
    : undefined;
}

const footer = (verdict: Verdict, amount: string | undefined, ms: number): string =>
  `${verdictLine(verdict)}${paint("dim", `  paid ${amount ?? "0"}, ${(ms / 1000).toFixed(1)} s, receipt ${verdict.receiptRoot?.slice(0, 16)}…`)}`;
