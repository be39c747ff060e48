// What the simulated enclave's launcher starts: `node simulated-main.js LAUNCHER-SOCKET`. Nothing else comes by arguments.
import { CountersignError, fromHex, toBase64 } from "@countersign/core";
import { simulatedAttester } from "@countersign/evidence-tee/make";
import { openLifeline } from "./boot.ts";
import { type RunningEnclave, startEnclave } from "./enclave.ts";
import { runtimeFlags } from "./flags.ts";
import { ignoreInspectorSignal, requireNoCore, requireUndisturbed } from "./undisturbed.ts";

ignoreInspectorSignal();

async function main(): Promise<void> {
  requireUndisturbed((flag) => runtimeFlags().includes(flag));
  requireNoCore();
  const path = process.argv[2] ?? "";
  const { boot, tell, onEnd } = await openLifeline(path);
  let enclave: RunningEnclave | undefined;
  // No launcher, no enclave: nothing could attest or reach it any more. Workers end with this process.
  onEnd(() => process.exit(0));
  try {
    const { catalogue, state, serve } = boot.places;
    enclave = await startEnclave(
      { ...boot.config, catalogue, state },
      {
        attester: simulatedAttester(path),
        token: boot.token,
        sealingKey: fromHex(boot.sealingKey),
        newKeys: boot.newKeys,
        provenance: boot.provenance,
        path: serve,
      },
    );
    await tell({ status: "serving", key: enclave.key, attestation: toBase64(enclave.attestation()) });
  } catch (error) {
    const known = CountersignError.is(error);
    if (!known) console.error(error);
    await tell({
      status: "failed",
      code: known ? error.code : "INTERNAL",
      message: known ? [error.detail.message, error.detail.why].filter(Boolean).join(" ") : "The enclave failed.",
    });
    process.exit(known ? error.exit : 70);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(CountersignError.is(error) ? error.exit : 70);
});
