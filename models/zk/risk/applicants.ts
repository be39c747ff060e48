// Reads applicants.csv: 1,000 encoded applicants, 300 of them held out. Names of features may hold commas and quotes.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export function readApplicants(heldOut: boolean): { samples: Float32Array[]; labels: number[] } {
  const [, ...rows] = readFileSync(join(import.meta.dirname, "applicants.csv"), "utf8").trim().split("\n");
  const chosen = rows.map((row) => row.split(",").map(Number)).filter(([held]) => (held === 1) === heldOut);
  return { samples: chosen.map((row) => Float32Array.from(row.slice(2))), labels: chosen.map((row) => row[1] as number) };
}
