import { writeFile } from "node:fs/promises";
import { fromBase64Url, fromUtf8, openFields, readRun } from "@countersign/core";
import { completeReceipt, disclose } from "@countersign/verify";
import type { Command } from "commander";
import { readBytes, readReceipt } from "../files.ts";
import { note, paint, print, printable, printJson, table } from "../terminal.ts";

const asText = (bytes: Uint8Array): string => {
  try {
    return printable(fromUtf8(bytes));
  } catch {
    return `${bytes.length} bytes`;
  }
};
const clip = (text: string, length = 96) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const namesOf = (text: string): string[] =>
  text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");

export function receiptCommand(program: Command): void {
  const receipt = program.command("receipt").summary("look into a receipt, or open single fields of it");

  receipt
    .command("show")
    .description(
      "Shows what a receipt says and which of its fields are open. It checks only that openings fit; use verify to judge.",
    )
    .argument("<file>")
    .option("--json", "print JSON")
    .action(async (file: string, options: { json?: boolean }) => {
      const document = await readReceipt(file);
      const { predicate, subject } = readRun(document.statement);
      const opened = openFields(document);
      const rows = document.openings.map(({ path, value }) => [
        path,
        value === "absent"
          ? paint("dim", "absent")
          : "list" in value
            ? `${value.list.length} elements`
            : clip(asText(fromBase64Url(value.bytes))),
      ]);
      if (options.json) {
        printJson({
          receiptRoot: subject,
          statement: predicate,
          open: [...opened.fields.keys(), ...opened.elements.keys()],
          holder: document.holder !== null,
        });
        return;
      }
      print(
        table(
          ["statement", ""],
          Object.entries({ receiptRoot: subject, ...predicate }).map(([k, v]) => [
            k,
            printable(typeof v === "string" ? v : JSON.stringify(v)),
          ]),
        ),
      );
      print();
      print(table(["open field", "value"], rows));
      print();
      print(
        `evidence ${document.evidence.length}, log proofs ${document.inclusion.length}, snapshots ${document.snapshots.length}, ${document.holder ? "holder's own copy" : "no holder's secret"}`,
      );
    });

  receipt
    .command("disclose")
    .description(
      "Makes a copy without your secret that opens the fields you name, besides what every copy opens (policy, offer, promptVersion, model, profile). Everything else stays salted and closed. A copy that opens less than all proves less: verify says what is closed.",
    )
    .argument("<file>", "your own copy")
    .requiredOption("--fields <names>", "fields or elements to open, by comma: system,messages/0,output/0; or all")
    .option("--request <file>", "the request body, to open fields of it")
    .option("--output <file>", "the answer, to open it")
    .option("--to <file>", "write to a file instead of standard output")
    .action(async (file: string, options: { fields: string; request?: string; output?: string; to?: string }) => {
      const document = await readReceipt(file);
      const { endpoint } = readRun(document.statement).predicate;
      const full = completeReceipt(document, {
        request:
          options.request === undefined
            ? undefined
            : { method: "POST", path: endpoint, body: await readBytes(options.request) },
        output: options.output === undefined ? undefined : { body: await readBytes(options.output) },
      });
      const copy = JSON.stringify(
        disclose(full, options.fields.trim() === "all" ? full.openings.map((o) => o.path) : namesOf(options.fields)),
      );
      if (options.to === undefined) print(copy);
      else {
        await writeFile(options.to, `${copy}\n`);
        note(`Wrote ${options.to}: it opens ${options.fields} besides what every copy opens, and holds no secret.`);
      }
    });
}
