// Every bench of this folder, one after the other: a table for people, or with --json one JSON array.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { missing, type Row } from "./harness/row.ts";

const folder = import.meta.dirname;
const limitMs = 300_000;

/** The rows of one bench; what it could not measure is a row too. */
async function runBench(name: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const strays: string[] = [];
  const child = spawn(process.execPath, [join(folder, "harness", "child.ts"), join(folder, `${name}.ts`)], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: limitMs,
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) =>
      resolve(code === 0 ? undefined : `it ended with ${signal ?? `code ${code}`}; see its messages above`),
    );
  });
  for await (const line of createInterface(child.stdout)) {
    const row = readRow(line);
    if (row) rows.push(row);
    else strays.push(line);
  }
  const fault = await ended;
  for (const line of strays) process.stderr.write(`${line}\n`);
  if (fault) rows.push(missing(name, fault));
  else if (rows.length === 0) rows.push(missing(name, "it gave no rows"));
  return rows;
}

function readRow(line: string): Row | undefined {
  try {
    const row = JSON.parse(line) as Row | null;
    return row !== null && typeof row === "object" && typeof row.name === "string" && typeof row.met === "boolean"
      ? row
      : undefined;
  } catch {
    return undefined;
  }
}

const columns = ["name", "value", "unit", "baseline", "ratio", "target", "met"] as const;

function printTable(rows: readonly Row[]): string {
  const number = (x: unknown) => (typeof x === "number" ? String(Number(x.toPrecision(4))) : String(x ?? "-"));
  const cells = [
    [...columns] as string[],
    ...rows.map((row) => [
      ...columns.slice(0, -1).map((column) => number(row[column])),
      row.met ? "yes" : row.why ? `no: ${row.why}` : "no",
    ]),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] as string).length)));
  return cells
    .map((line) =>
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))),
    )
    .map((line) => line.join("  ").trimEnd())
    .join("\n");
}

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, only: { type: "string", multiple: true } },
});
const all = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== basename(import.meta.filename))
  .map((file) => basename(file, ".ts"))
  .sort();
const rows: Row[] = [];
for (const name of options.only ?? all) {
  if (!all.includes(name)) {
    rows.push(missing(name, `there is no such bench; there are ${all.join(", ")}`));
    continue;
  }
  process.stderr.write(`${name} …\n`);
  rows.push(...(await runBench(name)));
}
process.stdout.write(`${options.json ? JSON.stringify(rows) : printTable(rows)}\n`);
