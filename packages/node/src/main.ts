// Process entry of a node: `node main.js CONFIG.json`; secrets by environment (see config.ts).
import { CountersignError } from "@countersign/core";
import { readNodeConfig, readNodeSecrets } from "./config.ts";
import { startNode } from "./serve.ts";

async function main(): Promise<void> {
  const path = process.argv[2] ?? process.env.COUNTERSIGN_NODE_CONFIG;
  if (path === undefined) {
    throw new CountersignError("CONFIG_INVALID", { message: "Name the configuration file as the first argument." });
  }
  const node = await startNode(await readNodeConfig(path), await readNodeSecrets(process.env));
  // One line that a parent process can read; it holds nothing secret.
  console.log(JSON.stringify({ ready: true, url: node.url, key: node.key }));
  process.send?.({ ready: true, url: node.url, key: node.key });
  let closing = false;
  const stop = () => {
    if (closing) return;
    closing = true;
    node.close().then(
      () => process.exit(0),
      () => process.exit(70),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // Started by another process: that one's end is this one's.
  if (process.send) process.on("disconnect", stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(CountersignError.is(error) ? error.exit : 70);
});
