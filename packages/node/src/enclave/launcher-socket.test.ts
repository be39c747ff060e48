import { mkdtemp, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex, toHex } from "@countersign/core";
import {
  foldModels,
  launcherRequestShape,
  makeNitroAuthority,
  modelExtension,
  simulatedAttester,
} from "@countersign/evidence-tee/make";
import { afterEach, describe, expect, it } from "vitest";
import { token } from "../fixtures/job.ts";
import { type Boot, openLifeline } from "./boot.ts";
import { startEnclave } from "./enclave.ts";
import { enclaveConfig } from "./fixtures/launched.ts";
import { serveEnclave } from "./launcher-socket.ts";
import { measuredRegister, openRegisters } from "./registers.ts";
import { openSealed } from "./sealed.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const unavailable = expect.objectContaining({ code: "TEE_UNAVAILABLE" });
const pcrs = [1, 2, 3].map((n) => measuredRegister(new Uint8Array(48).fill(n))) as unknown as Parameters<
  typeof openRegisters
>[0];

/** A launcher's socket with everything that it was ever told. */
async function serve() {
  const path = join(await mkdtemp(join(tmpdir(), "cse-test-")), "launcher.sock");
  const authority = makeNitroAuthority({ now: Date.now() });
  const registers = openRegisters(pcrs);
  const heard: unknown[] = [];
  const config = await enclaveConfig();
  const { catalogue, state, enclave: _, ...measured } = config;
  const boot: Boot = {
    config: measured,
    places: { catalogue, state, serve: join(state, "node.sock") },
    token,
    provenance: [],
    sealingKey: "ab".repeat(32),
    newKeys: false,
  };
  const socket = await serveEnclave(path, boot, {
    attest: (args) => {
      heard.push(args);
      return authority.document({ ...args, pcrs: registers.locked(), at: Date.now() });
    },
    extend: (...args) => {
      heard.push(args);
      registers.extend(...args);
    },
    lock: (register) => {
      heard.push(register);
      registers.lock(register);
    },
  });
  closing.push(socket.close);
  return { path, boot, config, heard, socket, registers };
}

/** Sends raw text and gives all that comes back until the end. */
const send = (path: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = "";
    const socket = connect(path, () => socket.end(text));
    socket.on("data", (part) => {
      said += part.toString();
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(said));
  });

describe("the launcher's socket", () => {
  it("starts one enclave, once", async () => {
    const { path, boot } = await serve();
    expect((await openLifeline(path)).boot).toEqual(boot);
    await expect(openLifeline(path)).rejects.toEqual(unavailable);
  });

  it("hears what the enclave says of its start, and when it goes without a word", async () => {
    const first = await serve();
    const word = { status: "failed", code: "CONFIG_INVALID", message: "no" } as const;
    await (await openLifeline(first.path)).tell(word);
    expect(await first.socket.booted).toEqual(word);
    const second = await serve();
    expect(await send(second.path, '{"op":"boot"}\n')).toContain(second.boot.sealingKey);
    await expect(second.socket.booted).rejects.toEqual(unavailable);
  });

  it("has three calls, and none gives a key out", async () => {
    expect(launcherRequestShape.options.map((o) => o.shape.op.value)).toEqual(["attest", "extend", "lock"]);
    const { path } = await serve();
    for (const text of [
      '{"op":"export"}',
      '{"op":"sealingKey"}',
      "{}",
      "[]",
      "no",
      '{"op":"lock","register":16,"more":1}',
    ])
      expect(await send(path, `${text}\n`)).toMatch(/^\{"error":/);
  });

  it("extends and locks the enclave's own registers, and shows the locked ones alone", async () => {
    const { path, registers } = await serve();
    const attester = simulatedAttester(path);
    expect([...registers.locked().keys()]).toEqual(Array.from({ length: 16 }, (_, i) => i));
    const model = "cd".repeat(32);
    await attester.extend?.(16, modelExtension(model));
    expect(registers.locked().has(16)).toBe(false);
    await attester.lock?.(16);
    expect(toHex(registers.locked().get(16) ?? new Uint8Array())).toBe(toHex(foldModels([model])));
    await expect(attester.extend?.(16, modelExtension(model))).rejects.toEqual(unavailable);
    await expect(attester.lock?.(16)).rejects.toEqual(unavailable);
    for (const register of [0, 1, 2, 4, 15, 32, -1])
      await expect(attester.extend?.(register, modelExtension(model))).rejects.toEqual(unavailable);
  });

  it("hears nothing of the keys that are born inside", async () => {
    const { path, config, boot, heard } = await serve();
    const enclave = await startEnclave(config, {
      attester: simulatedAttester(path),
      token,
      sealingKey: fromHex(boot.sealingKey),
      path: join(config.state, "node.sock"),
    });
    closing.push(enclave.close);
    const sealed = { path: join(config.state, "sealed.bin"), key: fromHex(boot.sealingKey), newKeys: false };
    const { seeds } = await openSealed({ ...sealed, random: () => expect.fail("it was there") });
    const all = heard
      .map((h) => JSON.stringify(h, (_, v: unknown) => (v instanceof Uint8Array ? toHex(v) : v)))
      .join("\n");
    expect(all).toContain(toHex(modelExtension(enclave.node.context.served[0]?.deployment.model.digest ?? "")));
    for (const seed of Object.values(seeds)) {
      expect(seed).toMatch(/^[0-9a-f]{64}$/);
      expect(all).not.toContain(seed);
      expect(await readFile(sealed.path, "latin1")).not.toContain(seed);
    }
  });
});
