// Process entry: `node main.ts [auditor.json]`, or the file named in COUNTERSIGN_AUDITOR_CONFIG.
import { CountersignError } from "@countersign/core";
import { startAuditor } from "./auditor.ts";
import { loadConfig } from "./config.ts";

try {
  const file = process.argv[2] ?? process.env.COUNTERSIGN_AUDITOR_CONFIG;
  if (!file)
    throw new CountersignError("COMMAND_MISUSED", {
      message: "Name the configuration: main.ts auditor.json, or COUNTERSIGN_AUDITOR_CONFIG.",
    });
  const auditor = await startAuditor(loadConfig(file, process.env));
  const { url, key, witnessKey } = auditor;
  // One line for whoever started the process and waits for it.
  process.stdout.write(`${JSON.stringify({ ready: "auditor", url, key, witnessKey })}\n`);
  let closing = false;
  const stop = async () => {
    if (closing) return;
    closing = true;
    await auditor.close();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // Started by another process: that one's end is this one's.
  if (process.send) process.on("disconnect", stop);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = CountersignError.is(error) ? error.exit : 70;
}
