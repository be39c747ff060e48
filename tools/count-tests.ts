// Adds up what the last run of each test project reported, names what did not run, and prints one line with the sum.
import { globSync, readFileSync } from "node:fs";

type Result = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
};

const files = globSync(".cache/tests/*.json");
const sum = { passed: 0, failed: 0, skipped: 0 };
for (const file of files) {
  const result = JSON.parse(readFileSync(file, "utf8")) as Result;
  sum.passed += result.numPassedTests;
  sum.failed += result.numFailedTests;
  sum.skipped += result.numPendingTests + result.numTodoTests;
  for (const { status, fullName } of result.testResults.flatMap((t) => t.assertionResults)) {
    if (status !== "passed" && status !== "failed") console.log(`did not run: ${fullName}`);
  }
}
if (files.length < 3) {
  console.log(`Only ${files.length} of 3 test projects reported: the others did not run.`);
  process.exitCode = 1;
}
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ""}`);
