// Process entry of a simulated enclave's launcher: `node launcher-main.js CONFIG.json [--new-keys]`; the token by
// environment (COUNTERSIGN_NODE_TOKEN or …_FILE). There is no seed: keys are born inside.
import { CountersignError, toBase64 } from "@countersign/core";
import { readNodeConfig, readNodeToken } from "../config.ts";
import { launchEnclave } from "./launcher.ts";

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const newKeys = args.includes("--new-keys") || process.env.COUNTERSIGN_ENCLAVE_NEW_KEYS === "1";
  const path = args.find((a) => !a.startsWith("--")) ?? process.env.COUNTERSIGN_NODE_CONFIG;
  if (path === undefined)
    throw new CountersignError("CONFIG_INVALID", { message: "Name the configuration file as the first argument." });
  const enclave = await launchEnclave(await readNodeConfig(path), { token: await readNodeToken(process.env), newKeys });
  const { url, key, root, measurement, tier, missing } = enclave;
  const ready = { ready: true, url, key, attestation: toBase64(enclave.attestation), root, measurement, tier, missing };
  if (missing !== null) console.error(`Tier ${tier}. ${missing}`);
  console.error("SIMULATED: this enclave proves nothing about hardware, and its host can read everything in it.");
  console.log(JSON.stringify(ready));
  process.send?.(ready);
  let closing = false;
  const stop = (status: number) => {
    if (closing) return;
    closing = true;
    enclave.close().then(
      () => process.exit(status),
      () => process.exit(70),
    );
  };
  process.on("SIGTERM", () => stop(0));
  process.on("SIGINT", () => stop(0));
  if (process.send) process.on("disconnect", () => stop(0));
  // Without its enclave a launcher has nothing to relay to; a supervisor starts both again, with the sealed keys.
  void enclave.ended.then((how) => {
    if (!closing) console.error(`The enclave ${how}.`);
    stop(69);
  });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(CountersignError.is(error) ? error.exit : 70);
});
