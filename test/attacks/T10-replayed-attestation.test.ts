import { toHex } from "@countersign/core";
import { expect, test } from "vitest";
import { argsOf } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import { certifiedKey, makeDocument, wanted } from "../../packages/evidence-tee/src/tpm/tpm.fixture.ts";
import { judgeEnclave, makeEnclave, now, outcomeOf, trusting } from "../fixtures/enclave.ts";
import { refusalOfDocument } from "./documents.ts";

const hour = 3_600_000;
const mine = toHex(new Uint8Array(32).fill(7));
const yours = toHex(new Uint8Array(32).fill(8));

test("T10: a document that answers my nonce is accepted for it, and for nobody else's", () => {
  const enclave = makeEnclave({ nonce: mine });
  expect(outcomeOf(judgeEnclave(enclave, { nonce: mine }))).toBe("accepted");
  expect(outcomeOf(judgeEnclave(enclave, { nonce: yours }))).toBe("TEE_NONCE_MISMATCH");
});

test("T10: a document that a node keeps ready is no answer to a nonce", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave(), { nonce: mine }))).toBe("TEE_NONCE_MISMATCH");
});

test("T10: my nonce written into an old bundle is not in the document", () => {
  const old = makeEnclave();
  const dressed = makeEnclave({ nonce: mine, bundle: { evidence: old.bundle.evidence } });
  expect(outcomeOf(judgeEnclave(dressed, { nonce: mine }))).toBe("TEE_REPORT_DATA_MISMATCH");
});

test("T10: a keyset ends within a day, whatever its document says", () => {
  const enclave = makeEnclave({ keyset: { notAfter: now + hour } });
  expect(outcomeOf(judgeEnclave(enclave, { at: now + hour + 1 }))).toBe("TEE_KEYSET_EXPIRED");
  const eternal = makeEnclave({ keyset: { notAfter: now + 365 * 24 * hour } });
  expect(outcomeOf(judgeEnclave(eternal))).toBe("TEE_KEYSET_EXPIRED");
});

test("T10: a keyset of another network is nobody's here", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ keyset: { network: "eip155:1" } })))).toBe("TEE_KEY_NOT_BOUND");
});

test("T10: without a nonce of ours a document may not be old, nor from the future", () => {
  const { document } = makeEnclave();
  const args = { ...argsOf(), document, roots: [], binding: null, maxAge: 300_000 };
  const at = (ms: number) => {
    const roots = trusting().hardware.map((h) => ({
      format: h.format,
      digest: h.root,
      assurance: h.assurance,
      name: "",
    }));
    return refusalOfDocument("nitro", { ...args, roots, at: ms });
  };
  expect(at(now + 1000)).toBe("accepted");
  expect(at(now + 301_000)).toBe("TEE_STALE");
  // A minute of clocks that differ is let through, and the certificate begins as early.
  expect(["TEE_FROM_FUTURE", "TEE_CERT_NOT_YET_VALID"]).toContain(at(now - 61_000));
});

test("T10: a TPM's quote over another nonce", () => {
  const args = wanted(makeDocument(), [certifiedKey()]);
  expect(refusalOfDocument("tpm2", { ...args, nonce: new Uint8Array(32).fill(1) })).toBe("TEE_NONCE_MISMATCH");
});
