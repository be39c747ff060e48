import { expect, test } from "vitest";
import { argsOf, type FixtureEdit, makePki } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import { refusalOfDocument } from "./documents.ts";

const judge = (edit: FixtureEdit) => refusalOfDocument("tdx", argsOf(edit));
const set =
  (at: number, ...values: number[]) =>
  (bytes: Uint8Array) =>
    void bytes.set(values, at);
const zeros = "0".repeat(64);

test("T5: the honest quote passes", () => expect(judge({})).toBe("accepted"));

test("T5: a quoting enclave by another signer, of another product or with other attributes", () => {
  expect(judge({ qe: set(128, ...new Uint8Array(32)) })).toBe("TEE_QE_IDENTITY");
  expect(judge({ qe: set(256, 9) })).toBe("TEE_QE_IDENTITY");
  expect(judge({ qe: set(48, 0x17) })).toBe("TEE_QE_IDENTITY");
});

test("T5: another vendor's quoting enclave", () => expect(judge({ header: set(12, 0) })).toBe("TEE_QE_IDENTITY"));

test("T5: an identity with a signer of zeros, signed by Intel's role or by nobody", () => {
  const identity = (value: object) => Object.assign(value, { mrsigner: zeros });
  expect(judge({ identity })).toBe("TEE_QE_IDENTITY");
  const collateral = (c: { qe_identity: string }) => {
    c.qe_identity = c.qe_identity.replace(/"mrsigner":"[0-9A-F]+"/, `"mrsigner":"${zeros}"`);
  };
  expect(judge({ collateral })).toBe("TEE_SIGNATURE_INVALID");
});

test("T5: an identity that a stranger signed, or that is another enclave's", () => {
  const stranger = makePki();
  const collateral = (c: Record<string, unknown>) => {
    c.qe_identity_issuer_chain = stranger.signer.pem + stranger.root.pem;
  };
  expect(judge({ collateral })).not.toBe("accepted");
  expect(judge({ identity: (value: object) => Object.assign(value, { id: "QE" }) })).not.toBe("accepted");
});

test("T5: a TDX module that the signed identities do not know, or whose signer is another", () => {
  expect(judge({ body: set(1, 7) })).not.toBe("accepted");
  expect(judge({ body: set(64, 0xff) })).toBe("TEE_QE_IDENTITY");
});

test("T5: the quote's key is not the one that the quoting enclave vouched for", () => {
  expect(judge({ qe: set(320, ...new Uint8Array(32)) })).toBe("TEE_SIGNATURE_INVALID");
});
