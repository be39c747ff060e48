import { chmod, mkdtemp, readFile, rename, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { beforeEach, describe, expect, it } from "vitest";
import { addModel, filePath, listModels, pullModel, showModel, verifyModel } from "./catalogue.ts";
import { chunkSize, hashBytes, hashFile, holdVerified, loadVerified } from "./files.ts";
import type { ModelFacts } from "./manifest.ts";

const publisher = ed25519Signer(new Uint8Array(32).fill(5));
const facts: ModelFacts = {
  title: "A test",
  job: "chat",
  architecture: "llama",
  engine: "llama.cpp",
  entry: "a.gguf",
  quantisation: "f16",
  parameters: 12,
  licence: "CC0-1.0",
  tokenizer: null,
  chatTemplate: null,
};
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "countersign-registry-"));
});
const code = (expected: string) => expect.objectContaining({ code: expected });
const add = (text: string, id = "m") =>
  addModel(dir, { id, facts, files: [{ name: "a.gguf", bytes: Buffer.from(text) }] }, publisher);
const fileOf = async (id = "m") =>
  filePath(dir, (await showModel(dir, id)).manifest.predicate.resources[0]?.digest as Hex);

describe("a catalogue", () => {
  it("adds, lists and shows models", async () => {
    const made = await add("weights");
    expect(await showModel(dir, "m")).toEqual(made);
    expect((await listModels(dir)).map((m) => m.manifest.name)).toEqual(["m"]);
    expect(await readFile(await fileOf(), "utf8")).toBe("weights");
    expect(await add("weights")).toEqual(made);
  });

  it("keeps a name for what it stands for", async () => {
    await add("weights");
    await expect(add("other weights")).rejects.toThrow(code("MODEL_EXISTS"));
    await expect(showModel(dir, "nothing")).rejects.toThrow(code("MODEL_UNKNOWN"));
    expect(await listModels(join(dir, "empty"))).toEqual([]);
  });

  it("sees a file that was changed, and one that is gone", async () => {
    await add("weights");
    expect(await verifyModel(dir, "m")).toMatchObject([{ name: "a.gguf", status: "same" }]);
    await writeFile(await fileOf(), "weighty");
    expect(await verifyModel(dir, "m")).toMatchObject([{ status: "different" }]);
    expect(await verifyModel(dir, "m", { chunk: 5 })).toMatchObject([{ status: "different", chunk: 0 }]);
    await rename(await fileOf(), join(dir, "gone"));
    expect(await verifyModel(dir, "m")).toMatchObject([{ status: "missing" }]);
    expect(await verifyModel(dir, "m", { chunk: 0 })).toMatchObject([{ status: "missing" }]);
  });

  it("repairs a damaged file when its model is added again", async () => {
    await add("weights");
    await writeFile(await fileOf(), "damaged");
    await add("weights");
    expect(await verifyModel(dir, "m")).toMatchObject([{ status: "same" }]);
  });

  it("checks one chunk without reading the others, against the signed root alone", async () => {
    const big = new Uint8Array(chunkSize + 10).fill(7);
    await addModel(dir, { id: "big", facts, files: [{ name: "a.gguf", bytes: big }] }, publisher);
    expect(await verifyModel(dir, "big", { chunk: 1 })).toMatchObject([{ status: "same", chunk: 1 }]);
    big[chunkSize + 3] = 8;
    const path = await fileOf("big");
    await writeFile(path, big);
    expect(await verifyModel(dir, "big", { chunk: 0 })).toMatchObject([{ status: "same" }]);
    expect(await verifyModel(dir, "big", { chunk: 1 })).toMatchObject([{ status: "different" }]);
    // Whoever changes the file and the unsigned list of leaves with it gains nothing.
    const { sha256, chunks } = hashBytes(big);
    expect(sha256).not.toBe(path.split("/").at(-1));
    await writeFile(join(dir, "chunks", `${path.split("/").at(-1)}.json`), JSON.stringify(chunks));
    expect(await verifyModel(dir, "big", { chunk: 1 })).toMatchObject([{ status: "missing" }]);
  });

  it("pulls a model and refuses other bytes under its name", async () => {
    const { envelope } = await add("weights");
    const there = join(dir, "there");
    const pull = (text: string) => pullModel(there, envelope, async () => Buffer.from(text));
    await expect(pull("something else")).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
    await expect(showModel(there, "m")).rejects.toThrow(code("MODEL_UNKNOWN"));
    await expect(
      pullModel(there, envelope, async () => {
        throw new Error("offline");
      }),
    ).rejects.toThrow(code("WEIGHTS_UNAVAILABLE"));
    await pull("weights");
    expect(await verifyModel(there, "m", { chunk: 0 })).toMatchObject([{ status: "same" }]);
    // What is there already is not fetched again.
    await pullModel(there, envelope, async () => {
      throw new Error("offline");
    });
  });
});

describe("files", () => {
  it("hash alike from memory and from disk, with progress", async () => {
    const bytes = new Uint8Array(chunkSize * 2 + 5).map((_, i) => i);
    const path = join(dir, "f");
    await writeFile(path, bytes);
    const seen: number[] = [];
    expect(await hashFile(path, (done) => seen.push(done))).toEqual(hashBytes(bytes));
    expect(seen).toEqual([chunkSize, 2 * chunkSize, 2 * chunkSize + 5]);
    expect(hashBytes(bytes).chunks).toHaveLength(3);
    await writeFile(path, "");
    expect(await hashFile(path)).toEqual(hashBytes(new Uint8Array()));
    await expect(hashFile(join(dir, "none"))).rejects.toThrow(code("FILE_UNREADABLE"));
  });

  it("are given out as the very bytes that were checked", async () => {
    const path = join(dir, "f");
    await writeFile(path, "abc");
    const { sha256 } = hashBytes(Buffer.from("abc"));
    expect((await loadVerified(path, sha256)).toString()).toBe("abc");
    await writeFile(path, "abd");
    await expect(loadVerified(path, sha256)).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
  });

  it("that are mapped are watched between hashing and loading", async () => {
    const path = join(dir, "f");
    const { sha256 } = hashBytes(Buffer.from("abc"));
    const hold = async () => {
      await writeFile(path, "abc");
      return holdVerified(path, sha256);
    };
    const attacks = [
      () => writeFile(path, "abd"),
      () => writeFile(path, "abcd"),
      async () => {
        await writeFile(join(dir, "g"), "abd");
        await rename(join(dir, "g"), path);
      },
      () => utimes(path, 1, 1),
      () => chmod(path, 0o600),
    ];
    const calm = await hold();
    await calm.check();
    await calm.close();
    for (const attack of attacks) {
      const held = await hold();
      await attack();
      await expect(held.check()).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
      await held.close();
    }
    // A link turned to another file leaves no trace on the one that was hashed.
    await writeFile(join(dir, "good"), "abc");
    await writeFile(join(dir, "evil"), "abd");
    await symlink(join(dir, "good"), join(dir, "link"));
    const linked = await holdVerified(join(dir, "link"), sha256);
    await symlink(join(dir, "evil"), join(dir, "link2"));
    await rename(join(dir, "link2"), join(dir, "link"));
    await expect(linked.check()).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
    await linked.close();
    await expect(holdVerified(path, "00".repeat(32))).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
  });
});
