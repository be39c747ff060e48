import { CountersignError } from "@countersign/core";
import { readConfig, readSecrets } from "./config.ts";
import { startGateway } from "./gateway.ts";

/** Runs a gateway until it is told to stop: `node main.ts <config.json>`, secrets by environment. */
async function main(): Promise<void> {
  const [file = process.env.COUNTERSIGN_GATEWAY_CONFIG, ...rest] = process.argv.slice(2);
  if (file === undefined || rest.length > 0) {
    throw new CountersignError("COMMAND_MISUSED", {
      message: "The gateway takes one argument: its configuration file.",
    });
  }
  const gateway = await startGateway(readConfig(file), readSecrets(process.env));
  // One line that a parent process can read; it holds nothing secret.
  const ready = { ready: true, url: gateway.url, key: gateway.deps.identity.key };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  process.send?.(ready);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    gateway.close().then(
      () => process.exit(0),
      () => process.exit(70),
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // Started by another process: that one's end is this one's.
  if (process.send) process.on("disconnect", stop);
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${CountersignError.is(error) ? error.message : error instanceof Error ? error.stack : error}\n`,
  );
  process.exit(CountersignError.is(error) ? error.exit : 70);
});
