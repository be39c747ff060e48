// Forgeries of what hardware grounds: no enclave of the accepted measurement ran this model on this request.
import {
  type Attestation,
  canonicalBytes,
  type Envelope,
  envelopeDigest,
  type Hex,
  measurementType,
  noDigest,
  portableSuite,
  type Receipt,
  readDelivery,
  sha256Hex,
  signDelivery,
  signStatement,
  type Trust,
  type TrustedHardware,
  toBase64,
  utf8,
  type Verdict,
} from "@countersign/core";
import { verify } from "@countersign/verify";
import { describe, expect, test } from "vitest";
import {
  attach,
  type Enclave,
  type EnclaveChanges,
  edited,
  hardware,
  makeEnclave,
  makeEnclaveReceipt,
  measurement,
  registerPlace,
  simulation,
  trusting,
} from "../../../../test/fixtures/enclave.ts";
import { at, judge } from "../../../../test/fixtures/forgery.ts";
import { hexOf, keyOf, logEntry, network, register } from "../../../../test/fixtures/network.ts";
import { type Changes, keys, now } from "../../../../test/fixtures/receipt.ts";

const policy = "tee & signature";
const real = (...entries: readonly TrustedHardware[]): Trust => ({ ...trusting(...entries), development: false });
type Made = ReturnType<typeof makeEnclaveReceipt>;
type More = Parameters<typeof judge>[1];
const judged = (made: Made, more: More = {}) => judge(made, { policy, trust: real(), ...more });
const withParts = (made: Made, parts: Partial<Receipt>): Made => ({ ...made, receipt: { ...made.receipt, ...parts } });

/** What comes of it: the outcome, what hardware proved, and the codes of what it did not. */
function view({ outcome, findings }: Verdict) {
  const found = findings.filter((f) => f.ground === "hardware");
  return {
    outcome,
    proven: found.filter((f) => f.status === "proven").map((f) => f.claim),
    codes: [...new Set(found.flatMap((f) => (f.status === "proven" ? [] : (f.code ?? f.status))))],
  };
}
const nothing = (...codes: readonly string[]) => ({ outcome: "unmet", proven: [], codes });

const enclave = makeEnclave();
const honest = makeEnclaveReceipt(enclave);
const outside = keyOf("a key outside the enclave");

test("the honest twin is met, with facts that a policy may require", () => {
  const wanted = "model:hardware(assurance=hardware,custody=named-datacentre,operator=acme,tcb=vendor-managed)";
  expect(judged(honest, { policy: `${policy} & ${wanted} & logged` }).outcome).toBe("met");
});

describe("keys that no enclave holds", () => {
  const made = (evidence: (root: Hex) => Receipt["evidence"]) => {
    const forged = makeEnclaveReceipt({ ...enclave, signer: outside });
    return withParts(forged, {
      keys: [...honest.receipt.keys, register("node", outside)],
      evidence: evidence(forged.receiptRoot),
    });
  };

  test("an enclave's document beside a statement of another key", () => {
    const borrowed = made((root) => [attach(root, enclave, outside)]);
    expect(view(judged(borrowed))).toEqual(nothing("TEE_KEY_NOT_BOUND"));
  });
  test("an item that the enclave itself signed, beside a statement of another key", () => {
    expect(view(judged(made((root) => [attach(root, enclave)])))).toEqual(nothing());
  });
  test("the other key written into the keyset beside the genuine document", () => {
    const keyset = makeEnclave({ signer: outside }).keyset;
    const bent = edited(enclave, (bundle) => ({ ...bundle, keyset }));
    const borrowed = made((root) => [attach(root, bent, outside)]);
    expect(view(judged(borrowed))).toEqual(nothing("TEE_REPORT_DATA_MISMATCH"));
  });
});

describe("an enclave of another kind", () => {
  const fill = (n: number) => new Uint8Array(48).fill(n);
  const notInside = { outcome: "unmet", proven: ["request", "output", "origin"] };
  const other: Hex = "ff".repeat(32);
  const measured = sha256Hex(utf8("manifest"));
  test.each<[string, EnclaveChanges, Changes, object]>([
    ["in debug mode", { code: [fill(0), fill(2), fill(3)] }, {}, nothing("TEE_DEBUG_MODE")],
    ["with other code", { code: [fill(1), fill(2), fill(9)] }, {}, nothing("TEE_MEASUREMENT_UNKNOWN")],
    ["of another network", { keyset: { network: "eip155:1" } }, {}, nothing("TEE_KEY_NOT_BOUND")],
    [
      "that measured another model",
      { keyset: { models: [other] } },
      {},
      { ...notInside, codes: ["TEE_MODEL_NOT_MEASURED"] },
    ],
    [
      "that names a model which its register does not hold",
      { keyset: { models: [measured, other] }, measured: [other] },
      {},
      nothing("TEE_MODEL_NOT_MEASURED"),
    ],
    [
      "that asks another host",
      { keyset: { scope: "proxy", models: [] } },
      {},
      { ...notInside, codes: ["TEE_SCOPE_PROXY_ONLY"] },
    ],
    [
      "that holds the model, and says that another host answered",
      {},
      { statement: { scope: "origin" } },
      { ...notInside, codes: ["TEE_SCOPE_PROXY_ONLY"] },
    ],
  ])("%s", (_, changes, receipt, expected) => {
    expect(view(judged(makeEnclaveReceipt(makeEnclave(changes), receipt)))).toEqual(expected);
  });
});

describe("games with time", () => {
  test.each<[string, EnclaveChanges, string]>([
    ["a keyset that ended before the statement was logged", { keyset: { notAfter: now + 500 } }, "TEE_KEYSET_EXPIRED"],
    ["a keyset that ends in a year", { keyset: { notAfter: now + 365 * 86_400_000 } }, "TEE_KEYSET_EXPIRED"],
    ["a document that was made when the statement was long logged", { at: now + 18_000_000 }, "TEE_CERT_NOT_YET_VALID"],
    ["a document of yesterday", { at: now - 25 * 3_600_000 }, "TEE_CERT_EXPIRED"],
  ])("%s", (_, changes, code) => {
    const made = makeEnclaveReceipt(makeEnclave(changes));
    for (const time of [at, at + 18_000_000]) expect(view(judged(made, { at: time }))).toEqual(nothing(code));
  });
  test("what was sound when it was logged stays so when document and keyset have ended", () => {
    expect(view(judged(honest, { at: at + 20 * 3_600_000 })).outcome).toBe("met");
  });
  test("a receipt that was never logged is judged for now alone", () => {
    const made = withParts(honest, { inclusion: [], snapshots: [] });
    expect(view(judged(made)).outcome).toBe("met");
    expect(view(judged(made, { at: at + 4 * 3_600_000 })).codes).toEqual(["TEE_CERT_EXPIRED"]);
    expect(view(judged(made, { at: Number.NaN })).proven).toEqual([]);
  });
});

describe("a simulation", () => {
  const simulated = makeEnclave({ authority: simulation });
  const entry = { flags: ["hardware"], delivered: 5 } as const;
  const entryOf = (assurance: TrustedHardware["assurance"]) =>
    real(hardware({ root: simulation.rootDigest, assurance }));
  const judgeIt = (made: Made, trust: Trust, suite = portableSuite) =>
    verify({ ...made, policy, trust, at, suite, allowDevelopment: true });
  test("is no hardware, under no name that a trust gives it", () => {
    const made = makeEnclaveReceipt(simulated);
    expect(view(judged(made))).toEqual(nothing("TEE_SIMULATED_NOT_ALLOWED"));
    expect(view(judgeIt(made, entryOf("hardware")))).toEqual(nothing("TEE_SIMULATED_NOT_ALLOWED"));
  });
  test("is a stand-in under every trust that accepts it", () => {
    const verdict = judgeIt(makeEnclaveReceipt(simulated), entryOf("simulated"));
    expect(verdict).toMatchObject({ outcome: "met", development: true });
    expect(judged(honest).development).toBe(false);
  });
  test("that the log counts as hardware leaves the place in the log unproven", () => {
    const verdict = judged(makeEnclaveReceipt(simulated, { entry: { ...entry, flags: [...entry.flags] } }));
    const logged = verdict.findings.find((f) => f.claim === "logged");
    expect(logged).toMatchObject({ status: "unproven", code: "ENTRY_EVIDENCE_INVALID" });
  });
  test("an item that only names the enclave lets no entry count hardware", () => {
    const made = makeEnclaveReceipt(enclave, { entry: { ...entry, flags: [...entry.flags] } });
    const [item] = made.receipt.evidence;
    const { envelope, blob } = item as NonNullable<typeof item>;
    const unsigned = [{ ...envelope.signatures[0], sig: toBase64(new Uint8Array(64)) }] as typeof envelope.signatures;
    const state = (evidence: Receipt["evidence"]) =>
      judged(withParts(made, { evidence }), { policy: "logged" }).findings.find((f) => f.claim === "logged")?.status;
    expect(state(made.receipt.evidence)).toBe("proven");
    expect(state([{ envelope: { ...envelope, signatures: unsigned }, blob }])).toBe("unproven");
    expect(state([attach(sha256Hex(utf8("another receipt")), enclave)])).toBe("unproven");
  });
});

describe("facts of somebody else", () => {
  const neighbour = makeEnclave({ signer: keyOf("another enclave") });
  const without = honest.receipt.keys.slice(0, 2);
  test.each<[string, readonly Envelope[]]>([
    ["no word about the place", []],
    ["the word about another enclave", [registerPlace(neighbour)]],
    ["the word of a registrar whom nobody knows", [registerPlace(enclave, "named-datacentre", keyOf("stranger"))]],
    ["a registration that names no place", [register("node", enclave.signer)]],
  ])("%s", (_, words) => {
    const made = withParts(honest, { keys: [...without, ...words] });
    expect(view(judged(made))).toEqual(nothing("TEE_CUSTODY_NOT_ALLOWED"));
  });

  test("an operator's name in a registration of a key that nobody checked a document for", () => {
    const made = withParts(honest, { keys: [...without, register("node", enclave.signer, "bank")] });
    const verdict = judged(made, { trust: real(hardware({ custody: ["unknown"] })) });
    expect(verdict.outcome).toBe("met");
    const facts = verdict.findings.filter((f) => f.ground === "hardware").map((f) => f.facts);
    for (const { custody, operator } of facts) expect([custody, operator]).toEqual(["unknown", undefined]);
  });

  const publisher = keyOf("publisher");
  const registers = (pcr2: string) => ({ pcr0: "01".repeat(48), pcr1: "02".repeat(48), pcr2 });
  /** A record that names the enclave's measurement, whatever registers people read in it. */
  function recorded(values: Readonly<Record<string, string>>) {
    const predicate = {
      suite: "countersign/measurement/v1",
      network,
      publisher: hexOf(publisher),
      format: "nitro",
      registers: values,
      title: "an image",
      source: { url: "https://example.invalid/source", commit: "abc", tree: "66".repeat(32) },
      build: { command: "make image", recipe: "67".repeat(32), environment: "debian" },
      revoked: false,
      at: now,
    };
    const type = { name: "measurement", predicateType: measurementType } as const;
    const statement = signStatement({ ...type, subject: measurement, predicate }, publisher);
    const { inclusion } = logEntry({
      kind: "measurement",
      flags: [],
      subject: measurement,
      envelope: envelopeDigest(statement),
      issuer: hexOf(publisher),
      model: noDigest,
      tag: noDigest,
      deployment: noDigest,
      demanded: [],
      bought: 0,
      delivered: 0,
      tokens: 0,
      value: 0,
      hour: 0,
    });
    const provenance = [{ statement, ...inclusion }] as Attestation["provenance"];
    return makeEnclaveReceipt(makeEnclave({ bundle: { provenance } }));
  }
  test("a record of this measurement that shows the registers of another", () => {
    const trust = { ...real(hardware({ provenance: true })), publishers: [{ name: "p", key: hexOf(publisher) }] };
    expect(view(judged(recorded(registers("03".repeat(48))), { trust })).outcome).toBe("met");
    expect(view(judged(recorded(registers("04".repeat(48))), { trust }))).toEqual(
      nothing("TEE_MEASUREMENT_NOT_LOGGED"),
    );
  });
});

describe("what is pinned to the container", () => {
  const broken = makeEnclave({ code: [1, 2, 9].map((n) => new Uint8Array(48).fill(n)) });
  const { receipt, receiptRoot } = honest;
  const [sound] = receipt.evidence as [Receipt["evidence"][number]];
  const foreign = attach(receiptRoot, enclave, outside);
  test.each<[string, Partial<Receipt>]>([
    ["a document that fails, in front", { evidence: [attach(receiptRoot, broken), sound] }],
    ["a stranger's item", { evidence: [foreign, sound] }],
    ["an item with other bytes", { evidence: [{ ...sound, blob: toBase64(utf8("{}")) }, sound] }],
    ["an older word of less worth about the place", { keys: [registerPlace(enclave, "unknown"), ...receipt.keys] }],
    ["a sealed body", { sealed: toBase64(new Uint8Array(100_000)) }],
    ["a proof that is none", { inclusion: [{ entry: "AAAA", proof: "x" }, ...receipt.inclusion] }],
  ])("takes nothing away: %s", (_, parts) => {
    expect(judged(withParts(honest, parts), { policy: `${policy} & logged` }).outcome).toBe("met");
  });

  test("documents that fail at their last signature are not judged without end", () => {
    const bent = (i: number): Enclave => {
      const document = enclave.document.slice();
      document[document.length - 1 - i] = (document.at(-1 - i) as number) ^ 1;
      const bundle = { ...enclave.bundle, evidence: [{ format: "nitro" as const, document: toBase64(document) }] };
      return { ...enclave, attestation: canonicalBytes(bundle) };
    };
    const evidence = Array.from({ length: 64 }, (_, i) => attach(receiptRoot, bent(i)));
    const entries = Array.from({ length: 32 }, (_, i) =>
      hardware({ measurements: [measurement, sha256Hex(utf8(`${i}`))] }),
    );
    let asked = 0;
    const suite = {
      ...portableSuite,
      verifyEcdsa: (check: Parameters<typeof portableSuite.verifyEcdsa>[0]) => {
        asked++;
        return portableSuite.verifyEcdsa(check);
      },
    };
    const verdict = verify({ ...withParts(honest, { evidence }), policy, trust: real(...entries), at, suite });
    expect(view(verdict)).toEqual(nothing("TEE_SIGNATURE_INVALID"));
    // Three links of one chain, and one signature of each document that is judged.
    expect(asked).toBe(3 + 8);
  });
});

describe("who stood on the way", () => {
  const sealed = utf8(JSON.stringify({ model: "pocket", max_tokens: 16, sealed: {} }));
  const suite = "countersign/channel/v1" as const;
  const channel = { suite, keyset: enclave.digest, key: "c0".repeat(32), request: sha256Hex(sealed), answer: noDigest };
  const made = makeEnclaveReceipt(enclave, { digestBody: sealed, statement: { channel } });
  const elsewhere = keyOf("another gateway");
  const delivered = (gateway = keys.gateway, saw?: "ciphertext") => {
    const { predicate, subject } = readDelivery(made.receipt.delivery);
    return signDelivery(subject, { ...predicate, gateway: hexOf(gateway), ...(saw && { saw }) }, gateway);
  };
  const keysOf = [...made.receipt.keys, register("gateway", elsewhere)];
  const status = (parts: Partial<Receipt>) =>
    judged(withParts(made, { keys: keysOf, ...parts }), {
      policy: "confidential:hardware",
      delivered: { ...made.delivered, sealed: { body: sealed } },
    }).findings.find((f) => f.claim === "confidential")?.status;
  test("the gateway that made the accepted offer says it, and no other in its place", () => {
    expect(status({ delivery: delivered(keys.gateway, "ciphertext") })).toBe("proven");
    expect(status({ delivery: delivered() })).toBe("refuted");
    for (const saw of [undefined, "ciphertext"] as const)
      for (const offer of [made.receipt.offer, null])
        expect(status({ offer, delivery: delivered(elsewhere, saw) })).toBe("unproven");
  });
});
