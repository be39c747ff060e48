// Process entry of a node inside a real enclave: `node hardware-main.js nitriding|nsm|dstack CONFIG.json`; the token by
// environment. It runs where the platform measured it; a failed start serves nothing.
import { CountersignError, toBase64 } from "@countersign/core";
import {
  type Attester,
  dstackAttester,
  dstackSocket,
  nitridingAttester,
  nsmAttester,
  openNsmHelper,
} from "@countersign/evidence-tee/make";
import { type NodeConfig, readNodeConfig, readNodeToken } from "../config.ts";
import { startEnclave } from "./enclave.ts";
import { runtimeFlags } from "./flags.ts";
import { readProvenance } from "./provenance.ts";
import { ignoreInspectorSignal, requireNoCore, requireUndisturbed } from "./undisturbed.ts";

const invalid = (message: string) => new CountersignError("CONFIG_INVALID", { message });

/** Where the image puts the helper that speaks to the device (packages/node/enclave). */
const helperPath = "/usr/local/bin/nsm-helper";

function openAttester(platform: string | undefined, { enclave = {} }: NodeConfig): Attester {
  const device = () => openNsmHelper(enclave.helper ?? helperPath, undefined, platform === "nsm" ? "NSM" : platform);
  if (platform === "nsm") return nsmAttester(device());
  if (platform === "dstack") return dstackAttester(enclave.socket ?? dstackSocket);
  if (platform === "nitriding") {
    const { internal = "http://127.0.0.1:8080", external = "https://127.0.0.1:8443" } = enclave;
    return nitridingAttester({ internal, external, device: device() });
  }
  throw invalid("The platform is nitriding, nsm or dstack.");
}

async function main(): Promise<void> {
  ignoreInspectorSignal();
  requireUndisturbed((flag) => runtimeFlags().includes(flag));
  requireNoCore();
  const [platform, path] = process.argv.slice(2).filter((a) => !a.startsWith("--"));
  if (path === undefined) throw invalid("Name the platform and the configuration file.");
  const config = await readNodeConfig(path);
  const attester = openAttester(platform, config);
  const enclave = await startEnclave(config, {
    attester,
    token: await readNodeToken(process.env),
    newKeys: process.argv.includes("--new-keys"),
    provenance: await readProvenance(config.enclave?.provenance),
  });
  const { key, node } = enclave;
  const ready = { ready: true, url: node.url, key, attestation: toBase64(enclave.attestation()) };
  console.log(JSON.stringify(ready));
  process.send?.(ready);
  let closing = false;
  const stop = () => {
    if (closing) return;
    closing = true;
    enclave.close().then(
      () => process.exit(0),
      () => process.exit(70),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  if (process.send) process.on("disconnect", stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(CountersignError.is(error) ? error.exit : 70);
});
