// Exchanges as the platforms' references describe them, played by local servers: no platform is here.

import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, toHex } from "@countersign/core";
import { decode, encode } from "cborg";
import { afterEach, describe, expect, it } from "vitest";
import { modelExtension } from "../measured-models.ts";
import { dstackAttester, dstackGpuInfo, modelEvent } from "./dstack.ts";
import { nitridingAttester } from "./nitriding.ts";
import { makeNitroAuthority } from "./nitro-document.ts";
import { type NsmDevice, nsmAttester, openNsmHelper } from "./nsm.ts";
import { simulatedAttester } from "./simulated.ts";

const userData = new Uint8Array(32).fill(3);
const nonce = new Uint8Array(32).fill(4);
const now = Date.now();
const authority = makeNitroAuthority({ now });
const pcrs = new Map([0, 1, 2].map((i) => [i, new Uint8Array(48).fill(i + 1)]));
const documentOf = (fields: { userData: Uint8Array; nonce: Uint8Array | null; publicKey?: Uint8Array | null }) =>
  authority.document({ publicKey: null, ...fields, pcrs, at: now });
const unavailable = expect.objectContaining({ code: "TEE_UNAVAILABLE" });
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Seen = { readonly method: string; readonly path: string; readonly body: string };

/** Serves HTTP on a unix socket or a port, and keeps what came. */
async function serveHttp(answer: (seen: Seen) => string | { readonly status: number }, socket = false) {
  const seen: Seen[] = [];
  const read = async (request: IncomingMessage) => {
    let body = "";
    for await (const part of request) body += String(part);
    return body;
  };
  const server = createHttpServer((request, response) => {
    void read(request).then((body) => {
      const one = { method: request.method ?? "", path: request.url ?? "", body };
      seen.push(one);
      const said = answer(one);
      response.statusCode = typeof said === "string" ? 200 : said.status;
      response.end(typeof said === "string" ? said : "{}");
    });
  });
  const path = join(await mkdtemp(join(tmpdir(), "countersign-http-")), "s");
  await new Promise<void>((resolve) =>
    socket ? server.listen(path, resolve) : server.listen(0, "127.0.0.1", resolve),
  );
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  return { seen, path, url: typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : "" };
}

describe("the simulated attester", () => {
  /** A launcher that answers each line by a function. */
  async function serveLines(answer: (message: Record<string, unknown>) => string) {
    const seen: unknown[] = [];
    const server = createServer((socket) => {
      socket.on("data", (part) => {
        const message = JSON.parse(part.toString()) as Record<string, unknown>;
        seen.push(message);
        socket.end(answer(message));
      });
    });
    const path = join(await mkdtemp(join(tmpdir(), "countersign-lines-")), "s");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    return { seen, path };
  }
  const answerOf = (document: Uint8Array) =>
    `${JSON.stringify({ document: Buffer.from(document).toString("base64") })}\n`;

  it("asks for a document, extends and locks", async () => {
    const document = documentOf({ userData, nonce });
    const { path, seen } = await serveLines((m) => (m.op === "attest" ? answerOf(document) : '{"ok":true}\n'));
    const attester = simulatedAttester(path);
    const { evidence, notAfter } = await attester.attest({ userData, nonce });
    expect(evidence).toEqual([{ format: "nitro", document }]);
    expect(notAfter).toBeGreaterThan(now + 2 * 3_600_000);
    expect(notAfter).toBeLessThan(now + 4 * 3_600_000);
    await attester.extend?.(16, modelExtension("aa".repeat(32)));
    await attester.lock?.(16);
    expect(seen).toEqual([
      {
        op: "attest",
        userData: Buffer.from(userData).toString("base64"),
        nonce: Buffer.from(nonce).toString("base64"),
        publicKey: null,
      },
      { op: "extend", register: 16, data: Buffer.from(modelExtension("aa".repeat(32))).toString("base64") },
      { op: "lock", register: 16 },
    ]);
  });

  it.each([
    ["a refusal", () => '{"error":"no"}\n'],
    ["no JSON", () => "yes\n"],
    ["another answer", () => '{"document":1}\n'],
    ["more than the answer", () => `{"document":"","more":1}\n`],
    ["nothing", () => ""],
    ["a document about something else", () => answerOf(documentOf({ userData: nonce, nonce }))],
    ["a document with another nonce", () => answerOf(documentOf({ userData, nonce: userData }))],
    ["a document without the nonce", () => answerOf(documentOf({ userData, nonce: null }))],
    ["bytes behind the document", () => answerOf(concat(documentOf({ userData, nonce }), Uint8Array.of(0)))],
  ])("takes %s for no document", async (_, answer) => {
    const { path } = await serveLines(answer);
    await expect(simulatedAttester(path).attest({ userData, nonce })).rejects.toEqual(unavailable);
  });

  it("without a launcher has none", async () => {
    await expect(simulatedAttester("/nowhere/launcher.sock").attest({ userData, nonce })).rejects.toEqual(unavailable);
  });
});

/** A device that answers by a function of the decoded request. */
function fakeDevice(answer: (request: Record<string, unknown>) => unknown) {
  const seen: Record<string, unknown>[] = [];
  const device: NsmDevice = {
    request: async (message) => {
      const request = decode(message) as Record<string, unknown>;
      seen.push(request);
      const said = answer(request);
      return said instanceof Uint8Array ? said : encode(said);
    },
    close: async () => undefined,
  };
  return { device, seen };
}

describe("the NSM attester", () => {
  it("speaks the device's CBOR", async () => {
    const document = documentOf({ userData, nonce });
    const { device, seen } = fakeDevice((request) => {
      if ("Attestation" in request) return { Attestation: { document } };
      return "ExtendPCR" in request ? { ExtendPCR: { data: new Uint8Array(48) } } : "LockPCR";
    });
    const attester = nsmAttester(device);
    expect((await attester.attest({ userData, nonce })).evidence).toEqual([{ format: "nitro", document }]);
    await attester.extend?.(16, new Uint8Array(48).fill(9));
    await attester.lock?.(16);
    expect(seen).toEqual([
      { Attestation: { user_data: userData, nonce, public_key: null } },
      { ExtendPCR: { index: 16, data: new Uint8Array(48).fill(9) } },
      { LockPCR: { index: 16 } },
    ]);
  });

  it.each([
    ["its own error", { Error: "InvalidArgument" }],
    ["another call's answer", { DescribePCR: { data: new Uint8Array(48) } }],
    ["two answers", { Attestation: { document: new Uint8Array(1) }, Error: "x" }],
    ["more than the document", { Attestation: { document: new Uint8Array(1), more: 1 } }],
    ["text for the document", { Attestation: { document: "text" } }],
    ["an empty document", { Attestation: { document: new Uint8Array(0) } }],
    ["no CBOR", Uint8Array.of(0xff)],
    ["something behind it", concat(encode({ Attestation: { document: new Uint8Array(1) } }), Uint8Array.of(0))],
    ["a name twice", concat(Uint8Array.of(0xa2), ...[0, 1].flatMap(() => [encode("Error"), encode("x")]))],
    ["the bare name", "Attestation"],
  ])("refuses %s", async (_, answer) => {
    const attester = nsmAttester(fakeDevice(() => answer).device);
    await expect(attester.attest({ userData, nonce })).rejects.toEqual(unavailable);
  });

  it("refuses a register of another size, and a lock that was none", async () => {
    const attester = nsmAttester(
      fakeDevice((r) => ("LockPCR" in r ? { Error: "ReadOnlyIndex" } : { ExtendPCR: { data: new Uint8Array(32) } }))
        .device,
    );
    await expect(attester.extend?.(16, nonce)).rejects.toEqual(unavailable);
    await expect(attester.lock?.(16)).rejects.toEqual(unavailable);
  });
});

describe("the device's helper", () => {
  /** A program that plays the helper: JavaScript over the standard streams. */
  async function helper(body: string): Promise<string> {
    const path = join(await mkdtemp(join(tmpdir(), "countersign-helper-")), "helper");
    await writeFile(path, `#!${process.execPath}\n${body}\n`);
    await chmod(path, 0o755);
    return path;
  }
  const echo = `
    let held = Buffer.alloc(0);
    process.stdin.on("data", (part) => {
      held = Buffer.concat([held, part]);
      while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
        const end = 4 + held.readUInt32BE(0);
        process.stdout.write(held.subarray(0, end));
        held = held.subarray(end);
      }
    });`;

  it("gives one answer for each request, in order", async () => {
    const device = openNsmHelper(await helper(echo));
    closing.push(device.close);
    const requests = [1, 300, 4096].map((n) => new Uint8Array(n).fill(n & 255));
    const answers = await Promise.all(requests.map(device.request));
    expect(answers.map(toHex)).toEqual(requests.map(toHex));
    await expect(device.request(new Uint8Array(4097))).rejects.toEqual(unavailable);
  });

  it.each([
    ["is not there", null],
    ["ends", "process.exit(3)"],
    ["is silent", "process.stdin.resume()"],
    [
      "announces more than the device gives",
      'process.stdin.on("data", () => process.stdout.write(Buffer.from([0, 0, 0x30, 1])))',
    ],
    [
      "answers twice",
      'process.stdin.on("data", () => process.stdout.write(Buffer.from([0, 0, 0, 1, 7, 0, 0, 0, 1, 7])))',
    ],
  ])("that %s is no device", async (_, body) => {
    const device = openNsmHelper(body === null ? "/nowhere/helper" : await helper(body), 500);
    closing.push(device.close);
    const ask = async () => {
      await device.request(new Uint8Array(1));
      await device.request(new Uint8Array(1));
    };
    await expect(ask()).rejects.toEqual(unavailable);
  });
});

describe("the nitriding attester", () => {
  const multihash = (digest: Uint8Array) => concat(Uint8Array.of(0x12, 0x20), digest);
  const applied = (hash: Uint8Array) => concat(multihash(new Uint8Array(32).fill(8)), multihash(hash));
  const publicKey = new TextEncoder().encode("dummy");

  async function serve(userDataOf = applied) {
    const inner = await serveHttp(() => "");
    const outer = await serveHttp(({ path }) => {
      const asked = new Uint8Array(Buffer.from(path.split("nonce=")[1] ?? "", "hex"));
      return `${Buffer.from(documentOf({ userData: userDataOf(userData), nonce: asked, publicKey })).toString("base64")}\n`;
    });
    return { inner, outer, attester: nitridingAttester({ internal: inner.url, external: outer.url, device: null }) };
  }

  it("announces the statement once, says that it is ready, and asks with 20 bytes of the nonce", async () => {
    const { inner, outer, attester } = await serve();
    expect(attester.bindsNonce).toBe(false);
    const { evidence } = await attester.attest({ userData, nonce });
    expect(evidence[0]?.format).toBe("nitro");
    await attester.attest({ userData, nonce: null });
    expect(inner.seen).toEqual([
      { method: "POST", path: "/enclave/hash", body: Buffer.from(userData).toString("base64") },
      { method: "GET", path: "/enclave/ready", body: "" },
    ]);
    expect(outer.seen.map((s) => s.path)).toEqual([
      `/enclave/attestation?nonce=${"04".repeat(20)}`,
      `/enclave/attestation?nonce=${"00".repeat(20)}`,
    ]);
  });

  it("refuses a document with another hash, or user data of another form", async () => {
    const { attester } = await serve(() => applied(nonce));
    await expect(attester.attest({ userData, nonce })).rejects.toEqual(unavailable);
    const { attester: bare } = await serve((hash) => hash);
    await expect(bare.attest({ userData, nonce })).rejects.toEqual(unavailable);
  });

  it("refuses to go on when nitriding does not answer as it should", async () => {
    const { url } = await serveHttp(() => ({ status: 500 }));
    const attester = nitridingAttester({ internal: url, external: url, device: null });
    await expect(attester.attest({ userData, nonce })).rejects.toEqual(unavailable);
  });
});

const vector = new URL("../../../../../shared/vectors/tee/dcap/tdx-dstack-eventlog.json", import.meta.url);

describe("the dstack attester", () => {
  const quote = "0400".repeat(100);
  const log = JSON.stringify([{ imr: 3, event_type: 134217729, digest: "00", event: modelEvent, event_payload: "" }]);
  const answers =
    (change: Readonly<Record<string, unknown>> = {}) =>
    (seen: Seen) => {
      if (seen.path === "/EmitEvent") return "";
      if (seen.path === "/GetKey") return JSON.stringify({ key: "11".repeat(32), signature_chain: [] });
      if (seen.path === "/GpuInfo") return JSON.stringify({ gpu_info: '{"gpus":[]}' });
      const report_data = (JSON.parse(seen.body) as { report_data: string }).report_data.padEnd(128, "0");
      return JSON.stringify({ quote, event_log: log, report_data, vm_config: "{}", ...change });
    };

  it("asks for a quote about the statement and takes its event log along", async () => {
    const { path, seen } = await serveHttp(answers(), true);
    const { evidence, collateral } = await dstackAttester(path).attest({ userData, nonce });
    expect(evidence.map((e) => [e.format, toHex(e.document)])).toEqual([["tdx", quote]]);
    expect(collateral.map((c) => [c.kind, new TextDecoder().decode(c.data)])).toEqual([["event-log", log]]);
    expect(seen).toEqual([
      { method: "POST", path: "/GetQuote", body: JSON.stringify({ report_data: toHex(userData) }) },
    ]);
  });

  it("emits model digests as events, derives a sealing key, tells what is kept of GPUs", async () => {
    const { path, seen } = await serveHttp(answers(), true);
    const attester = dstackAttester(path);
    await attester.extend?.(3, modelExtension("aa".repeat(32)));
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      event: modelEvent,
      payload: toHex(modelExtension("aa".repeat(32))),
    });
    const key = await attester.sealingKey?.();
    expect(key).toHaveLength(32);
    expect(toHex(key ?? nonce)).not.toBe("11".repeat(32));
    expect(attester.lock).toBeUndefined();
    await expect(attester.extend?.(0, nonce)).rejects.toEqual(unavailable);
    expect(await dstackGpuInfo(path)).toBe('{"gpus":[]}');
  });

  it.each([
    ["a quote about something else", { report_data: "ff".repeat(64) }],
    ["a quote about more", { report_data: `${toHex(userData)}${"00".repeat(31)}01` }],
    ["no hexadecimal", { quote: "zz" }],
    ["no event log", { event_log: undefined }],
  ])("refuses %s", async (_, change) => {
    const { path } = await serveHttp(answers(change), true);
    await expect(dstackAttester(path).attest({ userData, nonce })).rejects.toEqual(unavailable);
  });

  it("refuses to go on without the agent", async () => {
    await expect(dstackAttester("/nowhere.sock").attest({ userData, nonce })).rejects.toEqual(unavailable);
    const { path } = await serveHttp(() => ({ status: 400 }), true);
    await expect(dstackAttester(path).attest({ userData, nonce })).rejects.toEqual(unavailable);
  });

  const name = "reads an agent's real answer";
  if (existsSync(vector)) {
    it(name, async () => {
      const text = readFileSync(vector, "utf8");
      const real = JSON.parse(text) as { report_data: string; quote: string; event_log: string };
      const { path } = await serveHttp(() => text, true);
      const asked = new Uint8Array(Buffer.from(real.report_data, "hex"));
      const { evidence, collateral } = await dstackAttester(path).attest({ userData: asked, nonce: null });
      expect(toHex(evidence[0]?.document ?? nonce)).toBe(real.quote);
      expect(JSON.parse(new TextDecoder().decode(collateral[0]?.data))).toHaveLength(28);
    });
  } else it.skip(`${name}: shared TEE vectors are not here`, () => undefined);
});
