import { writeFile } from "node:fs/promises";
import { CountersignError, type Json } from "@countersign/core";
import { findOnnxModel, onnxModels, parseTensors } from "@countersign/node";
import type { Command } from "commander";
import { type ConnectOptions, connect, connectable } from "../connect.ts";
import { readText } from "../files.ts";
import { exampleOf } from "../network/examples.ts";
import { verdictLine } from "../show-verdict.ts";
import { inferTensors } from "../tasks.ts";
import { note, print, printJson } from "../terminal.ts";

type Options = ConnectOptions & {
  readonly input?: string;
  readonly text?: string;
  readonly example?: boolean;
  readonly policy?: string;
  readonly save?: string;
  readonly json?: boolean;
};

export function inferCommand(program: Command): void {
  connectable(
    program
      .command("infer")
      .summary("run a model on tensors, or on the input of its friendly task")
      .description(
        "Runs a model on named tensors, or on the body of its task (text, image, audio), and checks the receipt.",
      )
      .argument(
        "<model>",
        `for example ${onnxModels
          .slice(0, 3)
          .map((m) => m.id)
          .join(", ")}`,
      )
      .option("--input <file>", 'JSON: a task body such as {"text": "…"}, or named tensors; "-" for standard input')
      .option("--text <text>", "short for a body of one text")
      .option("--example", "use the model's own example input")
      .option("--policy <policy>", "what you demand of the answer")
      .option("--save <file>", "write the receipt")
      .option("--json", "print JSON"),
  ).action(async (model: string, options: Options) => {
    const given = [options.input !== undefined, options.text !== undefined, options.example === true].filter(
      Boolean,
    ).length;
    if (given !== 1)
      throw new CountersignError("COMMAND_MISUSED", { message: "Give one of --input, --text and --example." });
    const { tensors, body } = await readInput(model, options);
    const { client } = await connect(options);
    const answer = await inferTensors(
      client,
      model,
      tensors,
      body,
      options.policy === undefined ? {} : { policy: options.policy },
    );
    if (options.save !== undefined)
      await writeFile(options.save, `${JSON.stringify(answer.receipt)}\n`, { mode: 0o600 });
    const shown: Json =
      answer.said ??
      Object.fromEntries(
        Object.entries(answer.outputs).map(([name, t]) => [
          name,
          { type: t.type, dims: t.dims, data: t.data.slice(0, 64).map(String) },
        ]),
      );
    if (options.json)
      printJson({ answer: shown, outcome: answer.verdict.outcome, verdict: answer.verdict, payment: answer.payment });
    else {
      print(JSON.stringify(shown, null, 2));
      note(verdictLine(answer.verdict));
    }
  });
}

async function readInput(model: string, options: Options) {
  if (options.example) return exampleOf(model);
  const value: unknown =
    options.text === undefined ? JSON.parse(await readText(options.input as string)) : { text: options.text };
  const task = findOnnxModel(model)?.task;
  const isTensors =
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((v) => typeof v === "object" && v !== null && "dims" in v);
  if (isTensors && options.text === undefined) return { tensors: parseTensors(value as Json), body: undefined };
  if (!task)
    throw new CountersignError("MODEL_TASK_MISMATCH", {
      message: `${model} has no friendly task; give named tensors.`,
      remedy: '{"name": {"type": "float32", "dims": [1, 2], "data": [0.5, 1]}}',
    });
  return { tensors: await task.encode(value), body: value };
}
