import { writeFile } from "node:fs/promises";
import {
  CountersignError,
  type Envelope,
  isSignedBy,
  type Measurement,
  measurementId,
  measurementShape,
  parseJson,
  readMeasurement,
  signMeasurement,
  toHex,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import type { Command } from "commander";
import { readText } from "../files.ts";
import { ask } from "../network/enclave-node.ts";
import { paint, print, printable, printJson, table } from "../terminal.ts";
import { seedOf } from "./node-register.ts";

/** A record as it stands in a file: signed, or still to be signed, or with its place in the log. */
type Found = { readonly measurement: Omit<Measurement, "publisher">; readonly statement: Envelope | undefined };

const unsignedShape = measurementShape.omit({ publisher: true });

/** Reads a record: an unsigned draft, a signed envelope, or what `publish` saved. @throws STATEMENT_MALFORMED */
function readRecord(text: string): Found {
  const value = parseJson(text) as Record<string, unknown>;
  const envelope = value?.statement ?? (value?.payload === undefined ? undefined : value);
  if (envelope !== undefined) {
    const { predicate, envelope: statement } = readMeasurement(envelope);
    return { measurement: predicate, statement };
  }
  const { publisher: _, ...draft } = value;
  const read = unsignedShape.safeParse(draft);
  if (read.success) return { measurement: read.data, statement: undefined };
  const [issue] = read.error.issues;
  throw new CountersignError("STATEMENT_MALFORMED", {
    message: "This is not a countersign/measurement/v1 record.",
    why: issue && `${issue.path.join(".") || "The record"}: ${issue.message}`,
  });
}

function show({ measurement, statement }: Found): string {
  const { registers, source, build } = measurement;
  const signer = statement && readMeasurement(statement).predicate.publisher;
  const signed = statement && signer !== undefined && isSignedBy(statement, signer, nodeSuite);
  const rows = [
    ["format", measurement.format],
    ...Object.entries(registers).map(([name, value], i) => [i === 0 ? "registers" : "", `${name} ${printable(value)}`]),
    ["title", printable(measurement.title)],
    ["network", measurement.network],
    ["source", printable(`${source.url} at ${source.commit}`)],
    ["tree", source.tree],
    [
      "build",
      build === null
        ? paint("yellow", "none: nobody can repeat it, so it gives no provenance")
        : printable(`${build.command} (recipe ${build.recipe}; ${build.environment})`),
    ],
    ["revoked", measurement.revoked ? paint("red", "yes") : "no"],
    ["at", new Date(measurement.at).toISOString()],
    [
      "publisher",
      signed ? `${signer}, signature valid` : signer ? paint("red", `${signer}, NOT signed by it`) : "unsigned",
    ],
  ];
  return table(["measurement", measurementId(measurement.format, registers)], rows);
}

/** `countersign measurement`: records of what stands behind measured code. */
export function measurementCommand(program: Command): void {
  const command = program.command("measurement").summary("records of what stands behind an enclave's measured code");

  command
    .command("show")
    .description("Computes a measurement's id from its registers and shows the record, signed or not.")
    .argument("<file>")
    .option("--json", "print JSON")
    .action(async (file: string, options: { json?: boolean }) => {
      const found = readRecord(await readText(file));
      const { format, registers } = found.measurement;
      if (options.json) printJson({ id: measurementId(format, registers), ...found });
      else print(show(found));
    });

  command
    .command("sign")
    .description(
      "Signs a record with the publisher's seed (COUNTERSIGN_PUBLISHER_SEED). Sign only what you have built again yourself.",
    )
    .argument("<file>", "the record without its publisher, as JSON")
    .requiredOption("--out <file>", "where the signed record goes")
    .action(async (file: string, options: { out: string }) => {
      const { measurement } = readRecord(await readText(file));
      const publisher = ed25519Signer(seedOf("COUNTERSIGN_PUBLISHER_SEED"));
      const statement = signMeasurement({ ...measurement, publisher: toHex(publisher.publicKey) }, publisher);
      await writeFile(options.out, `${JSON.stringify({ statement })}\n`);
      print(show(readRecord(JSON.stringify({ statement }))));
    });

  command
    .command("publish")
    .description(
      "Hands a signed record to a gateway, which logs it, and keeps it with its proof: what an attestation carries as provenance.",
    )
    .argument("<file>", "what sign wrote")
    .requiredOption("--gateway <url>", "address of a gateway whose trust names the publisher")
    .requiredOption("--out <file>", "where record, entry and proof go")
    .action(async (file: string, options: { gateway: string; out: string }) => {
      const { statement } = readRecord(await readText(file));
      if (statement === undefined)
        throw new CountersignError("COMMAND_MISUSED", {
          message: "The record is not signed.",
          remedy: "Sign it first: countersign measurement sign",
        });
      const answer = await ask(
        new URL("/v1/measurements", options.gateway),
        { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ statement }) },
        { name: "gateway", unreachable: "GATEWAY_UNREACHABLE", refused: "NOT_AUTHORISED" },
      );
      const { index, entry, proof } = parseJson(new TextDecoder().decode(answer)) as Record<string, unknown>;
      if (typeof entry !== "string" || typeof proof !== "string")
        throw new CountersignError("INCLUSION_MISSING", {
          message: "The gateway gave no proof of the record's entry.",
        });
      await writeFile(options.out, `${JSON.stringify({ statement, entry, proof })}\n`);
      print(`${paint("green", "logged")} as entry ${String(index)}; kept in ${options.out}`);
    });
}
