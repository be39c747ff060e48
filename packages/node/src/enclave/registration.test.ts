import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRegistration, signRegistration, signStatement, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import { network, registrar } from "../fixtures/job.ts";
import { registrationFor } from "./fixtures/launched.ts";
import { openRegistration } from "./registration.ts";

const key = "22".repeat(32);
const now = Date.UTC(2026, 5, 1);
const term = { notBefore: now - 1000, notAfter: now + 1000 };
const fresh = async () => join(await mkdtemp(join(tmpdir(), "countersign-registration-")), "registration.json");
const open = (path: string, at = now, registrars?: readonly string[]) =>
  openRegistration(path, { key, network, suite: nodeSuite, registrars, now: () => at });
const stranger = ed25519Signer(new Uint8Array(32).fill(9));
const byStranger = (change: object = {}) => {
  const { predicate } = readRegistration(registrationFor(key, { ...term, ...change }));
  return signRegistration({ ...predicate, registrar: toHex(stranger.publicKey) }, stranger);
};
const code = (word: string) => expect.objectContaining({ code: word });

describe("a registration that comes later", () => {
  it("is taken, kept for the next start, and no longer used when it has ended", async () => {
    const path = await fresh();
    const first = await open(path);
    expect(first.current()).toBeUndefined();
    const envelope = registrationFor(key, term);
    await first.take(envelope);
    expect(first.current()).toEqual(envelope);
    expect((await open(path)).current()).toEqual(envelope);
    expect((await open(path, term.notAfter + 1)).current()).toBeUndefined();
  });

  it("is for this key, as a node, on this network, and signed by whom it names", async () => {
    const path = await fresh();
    const store = await open(path);
    for (const change of [{ role: "gateway" as const }, { network: "eip155:1" }]) {
      await expect(store.take(registrationFor(key, { ...term, ...change }))).rejects.toEqual(code("DOMAIN_MISMATCH"));
    }
    await expect(store.take(registrationFor("33".repeat(32), term))).rejects.toEqual(code("DOMAIN_MISMATCH"));
    const other = ed25519Signer(new Uint8Array(32).fill(99));
    const forged = registrationFor(key, { ...term, registrar: toHex(other.publicKey) });
    await expect(store.take(forged)).rejects.toEqual(code("ENVELOPE_MALFORMED"));
    await expect(store.take({})).rejects.toEqual(code("ENVELOPE_MALFORMED"));
    const { predicate, subject } = readRegistration(registrationFor(key, term));
    const wrong = signStatement({ name: "key", subject, predicateType: "urn:else", predicate }, registrar);
    await expect(store.take(wrong)).rejects.toEqual(code("STATEMENT_MALFORMED"));
    for (const change of [{ notBefore: now + 1 }, { notAfter: now - 1 }]) {
      await expect(store.take(registrationFor(key, { ...term, ...change }))).rejects.toEqual(code("NODE_NOT_ACTIVE"));
    }
    expect(store.current()).toBeUndefined();
    await expect(readFile(path)).rejects.toThrow(/ENOENT/);
  });

  it("is put aside by no other registrar, and by no older word of the same, also when it has ended", async () => {
    const path = await fresh();
    const store = await open(path);
    const good = registrationFor(key, term);
    await store.take(good);
    await expect(store.take(byStranger())).rejects.toEqual(code("NOT_AUTHORISED"));
    await expect(store.take(registrationFor(key, { ...term, notBefore: 0 }))).rejects.toEqual(code("NODE_NOT_ACTIVE"));
    expect(store.current()).toEqual(good);
    const later = await open(path, term.notAfter + 1);
    expect(later.current()).toBeUndefined();
    await expect(later.take(byStranger({ notAfter: now + 9000 }))).rejects.toEqual(code("NOT_AUTHORISED"));
    const newer = registrationFor(key, { notBefore: now, notAfter: now + 9000 });
    await later.take(newer);
    expect(later.current()).toEqual(newer);
  });

  it("counts from the configured registrars alone, and then from each of them", async () => {
    const path = await fresh();
    const [mine, theirs] = [toHex(registrar.publicKey), toHex(stranger.publicKey)];
    const strict = await open(path, now, [mine]);
    await expect(strict.take(byStranger())).rejects.toEqual(code("NOT_AUTHORISED"));
    expect(strict.current()).toBeUndefined();
    await (await open(path)).take(byStranger());
    expect((await open(path, now, [mine])).current()).toBeUndefined();
    const both = await open(path, now, [mine, theirs]);
    const good = registrationFor(key, term);
    await both.take(good);
    expect(both.current()).toEqual(good);
    await expect(both.take(byStranger({ notBefore: 0 }))).rejects.toEqual(code("NODE_NOT_ACTIVE"));
  });

  it("of another key, or changed in its file, counts as none", async () => {
    const path = await fresh();
    await writeFile(path, JSON.stringify(registrationFor("33".repeat(32), term)));
    expect((await open(path)).current()).toBeUndefined();
    await writeFile(path, "{");
    expect((await open(path)).current()).toBeUndefined();
  });
});
