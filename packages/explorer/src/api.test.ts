import { type Entry, encodeEntry, noDigest, toHex } from "@countersign/core";
import { beforeAll, describe, expect, it, vi } from "vitest";

let api: typeof import("./api.ts");
beforeAll(async () => {
  vi.stubGlobal("location", { protocol: "file:" });
  api = await import("./api.ts");
});

const entry: Entry = {
  kind: "receipt",
  flags: ["development"],
  subject: noDigest,
  envelope: noDigest,
  issuer: noDigest,
  model: noDigest,
  tag: noDigest,
  deployment: noDigest,
  demanded: [65],
  bought: 65,
  delivered: 65,
  tokens: 3,
  value: 4,
  hour: 5,
};

describe("readFeedEntry", () => {
  it("reads fields and bytes alike, and believes the bytes", () => {
    expect(api.readFeedEntry({ index: 7, ...entry })).toEqual({ index: 7, entry });
    const bytes = toHex(encodeEntry(entry));
    expect(api.readFeedEntry({ index: 7, ...entry, delivered: 8, bytes })).toEqual({ index: 7, entry });
  });

  it("shows nothing of what is no entry", () => {
    const bad = [
      null,
      {},
      { index: -1, ...entry },
      { index: 0, ...entry, kind: "<b>" },
      { index: 0, ...entry, flags: ["development", "development"] },
      { index: 0, ...entry, flags: ["verified"] },
      { index: 0, ...entry, subject: "x" },
      { index: 0, ...entry, hour: 2 ** 40 },
      { index: 0, ...entry, demanded: [0] },
      { index: 0, ...entry, more: 1 },
      { index: 0, ...entry, bytes: "00" },
    ];
    for (const value of bad) expect(api.readFeedEntry(value), JSON.stringify(value)).toBeUndefined();
    expect(() => api.readFeedPage({ entries: [{ index: 0 }] })).toThrow();
  });
});

describe("readModels", () => {
  it("keeps what it understands and says what is missing", () => {
    const [row] = api.readModels({
      data: [{ id: "m", countersign: { levels: ["zkml", 3], price: "free", about: [] } }, 4],
    });
    expect(row).toMatchObject({ id: "m", digest: undefined, levels: ["zkml"], guarantees: [], about: [], price: {} });
  });
});
