import { gpuNonce, keysetBinding, toBase64 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { formats } from "@countersign/evidence-tee";
import { expect, test } from "vitest";
import { frameOf, makeGpu, makeReport } from "../../packages/evidence-tee/src/nvidia/nvidia.fixture.ts";
import {
  type Enclave,
  hardware,
  judgeEnclave,
  makeEnclave,
  now,
  outcomeOf,
  registerPlace,
  trusting,
} from "../fixtures/enclave.ts";

const at = now;
const valid = () => ({ notBefore: now - 86_400_000, notAfter: now + 86_400_000 });
const here = makeGpu(valid);
const elsewhere = makeGpu(valid);
const bare = makeEnclave({ at, keyset: { gpus: 1 } });
const nonceOf = (enclave: Enclave) => gpuNonce(keysetBinding(enclave.digest, null));
const report = (gpu = here, nonce = nonceOf(bare)) => frameOf(makeReport(gpu.key, { nonce }), gpu.pem);
const versions = (() => {
  const args = { document: report(), at, roots: [here.root], collateral: [], measurements: null, revoked: [] };
  const rest = { tcb: { statuses: [], advisories: [], floors: {} }, allowDebug: false, binding: null, nonce: null };
  return formats.nvidia.check({ ...args, ...rest, maxAge: 0, suite: nodeSuite }).measurement as string;
})();
const gpuEntry = (gpu: typeof here) => hardware({ format: "nvidia", root: gpu.root.digest, measurements: [versions] });

/** The enclave with these GPU documents behind its own. */
function judge(documents: readonly Uint8Array[], gpus = 1, trusted = [here, elsewhere]) {
  const enclave = gpus === 1 ? bare : makeEnclave({ at, keyset: { gpus } });
  const evidence = [
    ...enclave.bundle.evidence,
    ...documents.map((d) => ({ format: "nvidia" as const, document: toBase64(d) })),
  ];
  const whole = makeEnclave({ at, keyset: { gpus }, bundle: { evidence } });
  return outcomeOf(
    judgeEnclave(whole, {
      at,
      registrations: [registerPlace(whole)],
      trust: trusting(hardware(), ...trusted.map(gpuEntry)),
    }),
  );
}

test("T8: a GPU that answered this statement's nonce belongs to it", () => expect(judge([report()])).toBe("accepted"));

test("T8: a genuine GPU that answered another machine's statement does not", () => {
  const other = makeEnclave({ at, keyset: { gpus: 1, models: ["ab".repeat(32)] } });
  expect(judge([report(elsewhere, nonceOf(other))], 1, [elsewhere])).toBe("TEE_GPU_NOT_BOUND");
  expect(judge([report(here, new Uint8Array(32))])).toBe("TEE_GPU_NOT_BOUND");
});

test("T8: a promised GPU whose evidence is left out, or counted twice", () => {
  expect(judge([])).toBe("TEE_GPU_MISSING");
  expect(judge([report(), report(elsewhere)])).toBe("TEE_GPU_MISSING");
});

test("T8: one GPU that signs twice is not two", () => {
  const two = makeEnclave({ at, keyset: { gpus: 2 } });
  const twice = [report(here, nonceOf(two)), report(here, nonceOf(two))];
  expect(judge(twice, 2)).toBe("TEE_GPU_MISSING");
  expect(judge([report(here, nonceOf(two)), report(elsewhere, nonceOf(two))], 2)).toBe("accepted");
});
