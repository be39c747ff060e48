// Runs one bench in this process and writes its rows as lines: each bench has a process of its own, so that none runs on
// another's heap or compiled code.
import { pathToFileURL } from "node:url";
import type { Row } from "./row.ts";

const { bench } = (await import(pathToFileURL(process.argv[2] as string).href)) as {
  readonly bench?: () => Promise<readonly Row[]>;
};
// A bench without `bench` writes its rows itself when it is loaded.
if (bench) for (const row of await bench()) process.stdout.write(`${JSON.stringify(row)}\n`);
