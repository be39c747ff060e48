import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  attestationMediaType,
  CountersignError,
  fromBase64,
  isSignedBy,
  keyFor,
  keysetBinding,
  keysetDigest,
  measurementId,
  noTrust,
  parseTrust,
  readAttestation,
  readEvidence,
  readRun,
  sha256Hex,
  type Trust,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { checkAttestation, checkNitro } from "@countersign/evidence-tee";
import { foldModels } from "@countersign/evidence-tee/make";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { NodeConfig } from "../config.ts";
import { network, pick, post, token } from "../fixtures/job.ts";
import { makeSealedJob, openEvents } from "../fixtures/sealed-job.ts";
import type { ChannelKey } from "../sealed/channel-key.ts";
import { coreLimitOf } from "./core-limit.ts";
import {
  ask,
  describeIt,
  enclaveConfig,
  isolation,
  jobFor,
  model,
  register,
  registrationFor,
  targetOf,
} from "./fixtures/launched.ts";
import { descendants } from "./fixtures/processes.ts";
import { type LaunchOptions, launchEnclave, type RunningLauncher } from "./launcher.ts";

const running: RunningLauncher[] = [];
const launch = async (config: NodeConfig, options: Partial<LaunchOptions> = {}) => {
  const launched = await launchEnclave(config, { token, ...options });
  running.push(launched);
  return launched;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.close()));
});

const hello = { model, messages: [{ role: "user", content: "Hello" }], max_tokens: 8 } as const;
const code = (word: string) => expect.objectContaining({ code: word });

/** Everything that a document of this launcher must show, under its own root. */
function check(enclave: RunningLauncher, bytes: Uint8Array, nonce: string | null) {
  const attestation = readAttestation(bytes);
  const [evidence] = attestation.evidence;
  const report = checkNitro({
    document: fromBase64(evidence?.document ?? ""),
    at: Date.now(),
    roots: [{ format: "nitro", digest: enclave.root, assurance: "simulated", name: "this machine" }],
    collateral: [],
    measurements: [enclave.measurement],
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding: keysetBinding(keysetDigest(attestation.keyset), nonce),
    nonce: null,
    maxAge: 60_000,
    suite: nodeSuite,
  });
  expect(report.checks.filter((c) => c.result === "failed")).toEqual([]);
  expect(report.assurance).toBe("simulated");
  return { attestation, report };
}

/** What a client knows of a channel. */
function channelFor(attestation: Uint8Array): ChannelKey {
  const { keyset } = readAttestation(attestation);
  return {
    key: keyFor(keyset, "channel") ?? "",
    keyset: () => keysetDigest(keyset),
    open: () => expect.fail("a client opens no request"),
  };
}

describe("an enclave that serves", () => {
  let config: NodeConfig;
  let enclave: RunningLauncher;
  beforeAll(async () => {
    config = await enclaveConfig();
    enclave = await launchEnclave(config, { token });
  }, 60_000);
  afterAll(() => enclave.close());

  it("is attested, registered, and answers with a model inside; each receipt carries its attestation", async () => {
    expect(enclave.tier).toBe(isolation.tier);
    const { attestation, report } = check(enclave, enclave.attestation, null);
    expect(keyFor(attestation.keyset, "receipt")).toBe(enclave.key);
    expect(attestation.keyset.scope).toBe("inference");
    expect(attestation.keyset.models).toHaveLength(2);
    expect(report.runtime.pcr16).toBe(toHex(foldModels(attestation.keyset.models)));
    expect(report.measurement).toBe(measurementId("nitro", report.registers));

    const before = await ask(enclave.url, "/describe");
    expect([before.status, await before.json()]).toMatchObject([503, { error: { code: "NODE_NOT_ATTESTED" } }]);
    const stranger = await register(enclave.url, registrationFor("11".repeat(32)));
    expect(await stranger.json()).toMatchObject({ error: { code: "DOMAIN_MISMATCH" } });
    expect((await register(enclave.url, registrationFor(enclave.key))).status).toBe(200);

    const description = await describeIt(enclave.url);
    expect(description.key).toBe(enclave.key);
    check(enclave, fromBase64(description.attestation ?? ""), null);
    expect(description.deployments.map((d) => d.ready)).toEqual([true, true]);

    const events = await post(enclave, await jobFor(enclave.url, "/v1/chat/completions", hello));
    const output = pick(events, "output").output;
    expect(output).toMatchObject({ kind: "message", content: expect.stringMatching(/./s) });
    const done = pick(events, "done");
    const { subject, envelope, predicate } = readRun(done.statement);
    expect(isSignedBy(envelope, enclave.key, nodeSuite)).toBe(true);
    expect(attestation.keyset.models).toContain(predicate.model.digest);
    const [item] = done.evidence ?? [];
    const evidence = readEvidence(item?.envelope);
    expect(evidence.subject).toBe(subject);
    expect(isSignedBy(evidence.envelope, enclave.key, nodeSuite)).toBe(true);
    const blob = fromBase64(item?.blob ?? "");
    expect(evidence.predicate).toMatchObject({
      kind: "tee",
      format: "countersign/attestation/v1",
      says: "supports",
      binds: "keyset.keys[use=receipt]",
      blob: { digest: sha256Hex(blob), size: blob.length, mediaType: attestationMediaType },
      facts: { keyset: keysetDigest(attestation.keyset) },
    });
    check(enclave, blob, null);
  }, 60_000);

  it("runs ONNX models inside", async () => {
    await register(enclave.url, registrationFor(enclave.key));
    const { deployments } = await describeIt(enclave.url);
    const inputs = deployments.find((d) => d.tensors)?.tensors?.inputs ?? [];
    expect(inputs.length).toBeGreaterThan(0);
    const features = {
      type: "float32",
      dims: [1, 620],
      data: Array.from({ length: 620 }, (_, i) => (i % 7 ? 0 : 0.25)),
    };
    const job = await jobFor(enclave.url, "/v1/infer", { model: "lande-50", inputs: { features } });
    const events = await post(enclave, job);
    expect(events.find((e) => e.type === "error")).toBeUndefined();
    expect(pick(events, "done").evidence).toHaveLength(1);
  }, 60_000);

  it("answers a verifier's nonce with a fresh document, to whoever has the token", async () => {
    const nonce = "5a".repeat(32);
    const answer = await ask(enclave.url, `/attestation?nonce=${nonce}`);
    expect(answer.headers.get("content-type")).toBe(attestationMediaType);
    const { attestation } = check(enclave, new Uint8Array(await answer.arrayBuffer()), nonce);
    expect(attestation.nonce).toBe(nonce);
    expect((await fetch(`${enclave.url}/attestation`)).status).toBe(401);
    expect((await ask(enclave.url, "/attestation?nonce=5A")).status).toBe(400);
  }, 60_000);

  it("is accepted by a development trust that names root and measurement, and by no other", async () => {
    const registration = registrationFor(enclave.key);
    const trusted = {
      format: "nitro",
      root: enclave.root,
      assurance: "simulated",
      measurements: [enclave.measurement],
    };
    const rest = {
      revoked: [],
      tcb: { statuses: [], advisories: [], floors: {} },
      custody: ["unknown"],
      provenance: false,
    };
    const trust = (change: object = {}) =>
      parseTrust({ ...noTrust, network, development: true, hardware: [{ ...trusted, ...rest, ...change }] });
    const judge = (by: Trust, allowDevelopment = true) =>
      checkAttestation({
        attestation: enclave.attestation,
        registrations: [registration],
        trust: by,
        at: Date.now(),
        nonce: null,
        suite: nodeSuite,
        allowDevelopment,
      }).outcome;
    expect(judge(trust())).toMatchObject({
      status: "accepted",
      assurance: "simulated",
      measurement: enclave.measurement,
      facts: { scope: "inference", platform: "nitro", assurance: "simulated" },
    });
    expect(judge(trust(), false)).toMatchObject({ code: "TEE_SIMULATED_NOT_ALLOWED" });
    expect(judge({ ...noTrust, network })).toMatchObject({ code: "TEE_SIMULATED_NOT_ALLOWED" });
    expect(judge(trust({ measurements: ["11".repeat(32)] }))).toMatchObject({ code: "TEE_MEASUREMENT_UNKNOWN" });
    expect(judge(trust({ measurements: [] }))).toMatchObject({ code: "TEE_MEASUREMENT_POLICY_EMPTY" });
  });

  it("opens what was sealed to its attested key, and answers in the same seal", async () => {
    await register(enclave.url, registrationFor(enclave.key));
    const attestation = fromBase64((await describeIt(enclave.url)).attestation ?? "");
    const { keyset } = readAttestation(attestation);
    const channel = channelFor(attestation);
    const messages = [{ role: "user", content: "Zanzibar marmalade" }];
    const { job, sealed } = await makeSealedJob(await targetOf(enclave.url), channel, "/v1/chat/completions", {
      ...hello,
      messages,
    });
    const events = await post(enclave, job);
    expect(events.find((e) => e.type === "error")).toBeUndefined();
    const { text, part } = await openEvents(events, sealed);
    expect(JSON.parse(text)).toMatchObject({ object: "chat.completion" });
    expect(part.receiptSecret).toMatch(/^[0-9a-f]{64}$/);
    const done = pick(events, "done");
    expect(readRun(done.statement).predicate.channel).toMatchObject({ keyset: keysetDigest(keyset), key: channel.key });
    expect(done.evidence).toHaveLength(1);
    expect(JSON.stringify([job, events])).not.toContain("Zanzibar");
    expect(JSON.stringify(events)).not.toContain(text.slice(0, 40));
  }, 60_000);

  it("is alone in its state folder", async () => {
    await expect(launch(config)).rejects.toThrow(/Another enclave runs/);
  });
});

describe("an enclave", () => {
  it("keeps keys and registration over a restart of the same measurement", async () => {
    const config = await enclaveConfig();
    const first = await launch(config);
    await register(first.url, registrationFor(first.key));
    await first.close();
    const second = await launch(config);
    expect(second.key).toBe(first.key);
    expect(second.measurement).toBe(first.measurement);
    expect((await ask(second.url, "/describe")).status).toBe(200);
    const [one, two] = [first, second].map((e) => readAttestation(e.attestation).keyset.keys);
    expect(two?.slice(1)).toEqual(one?.slice(1));
    expect(two?.[0]).not.toEqual(one?.[0]);
  }, 60_000);

  it("opens a sealed request once, whatever its host does to its folder", async () => {
    const config = await enclaveConfig();
    const first = await launch(config);
    await register(first.url, registrationFor(first.key));
    const channel = channelFor(first.attestation);
    const { job } = await makeSealedJob(await targetOf(first.url), channel, "/v1/chat/completions", hello);
    const ends = async ({ url }: RunningLauncher) => {
      const last = (await post({ url }, job)).at(-1);
      return last?.type === "error" ? last.code : last?.type;
    };
    expect(await ends(first)).toBe("sealed");
    expect(await ends(first)).toBe("NONCE_REPLAYED");
    // A second one beside it, from a copy without any journal.
    const copy = `${config.state}-copy`;
    const isJournal = /\.(?:txt|sock)$/;
    await cp(config.state, copy, { recursive: true, filter: (path) => !isJournal.test(path) });
    const second = await launch({ ...config, state: copy });
    expect(second.key).toBe(first.key);
    expect(await ends(second)).toBe("TEE_CHANNEL_NOT_BOUND");
    // The same one again, with everything gone but its sealed keys and registration.
    await first.close();
    for (const name of await readdir(join(config.state, first.key)))
      if (isJournal.test(name)) await rm(join(config.state, first.key, name));
    const third = await launch(config);
    expect(third.key).toBe(first.key);
    expect(await ends(third)).toBe("TEE_CHANNEL_NOT_BOUND");
  }, 120_000);

  it("is ended when what was measured is no longer what lies on the disk", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
    let changed = false;
    const seal = () => ({
      require: () => {
        if (changed) throw new CountersignError("TEE_UNAVAILABLE", { message: "The code was changed." });
      },
    });
    const enclave = await launch(await enclaveConfig(), { seal });
    expect((await ask(enclave.url, `/attestation?nonce=${"5a".repeat(32)}`)).status).toBe(200);
    changed = true;
    const late = await ask(enclave.url, `/attestation?nonce=${"5b".repeat(32)}`).catch(() => undefined);
    expect(late?.ok).not.toBe(true);
    expect(await enclave.ended).toContain("The code was changed.");
    expect(said.mock.calls.join()).toContain("The code was changed.");
    said.mockRestore();
  }, 60_000);

  it.skipIf(process.platform !== "linux").each(["auto", "none"] as const)(
    "leaves no core file, and no worker of it does (sandbox: %s)",
    async (sandbox) => {
      const config = await enclaveConfig();
      const enclave = await launch({ ...config, enclave: { ...config.enclave, sandbox } });
      await register(enclave.url, registrationFor(enclave.key));
      await post(enclave, await jobFor(enclave.url, "/v1/chat/completions", hello));
      const pids = [enclave.pid, ...(await descendants(enclave.pid))];
      expect(pids.length).toBeGreaterThan(1);
      for (const pid of pids) expect(coreLimitOf(await readFile(`/proc/${pid}/limits`, "utf8"))).toBeLessThanOrEqual(1);
    },
    60_000,
  );

  it("closes its state folder to everybody else, and takes none of another user", async () => {
    const config = await enclaveConfig();
    await mkdir(config.state, { recursive: true });
    await chmod(config.state, 0o777);
    await launch(config);
    expect((await stat(config.state)).mode & 0o777).toBe(0o700);
    const other = await enclaveConfig();
    await mkdir(other.state, { recursive: true });
    vi.spyOn(process, "getuid").mockReturnValue(4321);
    const refused = launch(other).finally(() => vi.restoreAllMocks());
    await expect(refused).rejects.toThrow(/another user/);
  }, 60_000);

  it("takes a registration from the registrars that it was configured with alone", async () => {
    const enclave = await launch(await enclaveConfig({ registrars: ["ab".repeat(32)] }));
    const answer = await register(enclave.url, registrationFor(enclave.key));
    expect([answer.status, await answer.json()]).toMatchObject([403, { error: { code: "NOT_AUTHORISED" } }]);
    expect((await ask(enclave.url, "/describe")).status).toBe(503);
  }, 60_000);

  it("with another configuration is another measurement, and does not get the keys", async () => {
    const config = await enclaveConfig();
    const first = await launch(config);
    await first.close();
    const other = { ...config, runLimit: 1234 };
    await expect(launch(other)).rejects.toEqual(code("TEE_SEALED_ELSEWHERE"));
    const fresh = await launch(other, { newKeys: true });
    expect(fresh.key).not.toBe(first.key);
    expect(fresh.measurement).not.toBe(first.measurement);
  }, 60_000);

  it("keeps its measurement, keys and registration through a price, a gateway and another model", async () => {
    const config = await enclaveConfig();
    const first = await launch(config);
    await first.close();
    const [one] = config.deployments;
    const price = { base: "7", perInputKiB: "1", perOutputToken: "1" };
    const again = await launch({
      ...config,
      gateways: [...config.gateways, "ab".repeat(32)],
      deployments: [{ ...(one as (typeof config.deployments)[number]), price }],
    });
    expect(again).toMatchObject({ key: first.key, measurement: first.measurement });
    const models = (a: Uint8Array) => readAttestation(a).keyset.models;
    expect(models(again.attestation)).toHaveLength(1);
    expect(models(first.attestation)).toHaveLength(2);
  }, 60_000);

  it("refuses sealed storage that was altered", async () => {
    const config = await enclaveConfig();
    const first = await launch(config);
    await first.close();
    const path = join(config.state, "sealed.bin");
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(launch(config)).rejects.toEqual(code("TEE_SEALED_ELSEWHERE"));
  }, 60_000);

  it("does not start around a file that is not what its manifest says", async () => {
    const config = await enclaveConfig();
    const { manifest } = await import("@countersign/registry").then((r) => r.showModel(config.catalogue, model));
    const digest = manifest.predicate.resources[0]?.digest ?? "";
    const path = join(config.catalogue, "files", digest);
    const bytes = await readFile(path);
    bytes[4096] = (bytes[4096] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(launch(config)).rejects.toEqual(code("MODEL_DIGEST_MISMATCH"));
  }, 60_000);

  it("holds no proxy", async () => {
    const config = await enclaveConfig();
    const upstream = { url: "http://127.0.0.1:1/v1", model: "other" };
    const refused = launch({ ...config, deployments: [{ model, upstream }] });
    await expect(refused).rejects.toEqual(code("CONFIG_INVALID"));
    await expect(refused).rejects.toThrow(/no network/);
  });

  it("without a sandbox says what is missing, and is another measurement", async () => {
    const config = await enclaveConfig();
    const plain = await launch({ ...config, enclave: { ...config.enclave, sandbox: "none" } });
    expect(plain.tier).toBe("process");
    expect(plain.missing).toMatch(/no sandbox/);
    if (isolation.bwrap === null) return;
    await plain.close();
    const walled = await launch(config, { newKeys: true });
    expect(walled.measurement).not.toBe(plain.measurement);
  }, 60_000);
});

describe("a launcher", () => {
  it("refuses options for the runtime", async () => {
    process.env.NODE_OPTIONS = "--require /tmp/else.js";
    try {
      await expect(launch(await enclaveConfig())).rejects.toEqual(code("TEE_UNAVAILABLE"));
    } finally {
      delete process.env.NODE_OPTIONS;
    }
  });

  it("refuses a machine file that others may read", async () => {
    const config = await enclaveConfig();
    const { mkdtemp } = await import("node:fs/promises");
    const { tmpdir } = await import("node:os");
    const home = await mkdtemp(join(tmpdir(), "countersign-open-"));
    await writeFile(join(home, "machine.json"), "{}", { mode: 0o644 });
    const refused = await launch({ ...config, enclave: { home } }).catch((error: unknown) => error);
    expect(CountersignError.is(refused, "CONFIG_INVALID")).toBe(true);
  });
});
