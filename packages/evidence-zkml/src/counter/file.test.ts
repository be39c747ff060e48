import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError } from "@countersign/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CounterPlace, countInFiles } from "./file.ts";

let folder: string;
let place: CounterPlace;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "opening-"));
  place = {
    file: join(folder, "opening", "count.json"),
    ledger: join(folder, "ledger", "count.json"),
    root: "ab".repeat(32),
    budget: 3,
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return CountersignError.is(error) ? error.code : String(error);
  }
  return "nothing was thrown";
};

describe("the counter of openings", () => {
  it("counts across restarts and ends at the budget", () => {
    const first = countInFiles({ ...place, create: true });
    expect([first.take(), first.take()]).toEqual([0, 1]);
    first.close();
    const second = countInFiles(place);
    expect(second.take()).toBe(2);
    expect(codeOf(() => second.take())).toBe("ZK_BUDGET_SPENT");
    second.close();
    expect(codeOf(() => countInFiles(place).take())).toBe("ZK_BUDGET_SPENT");
  });
  it("is on the disk before it is given out", () => {
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    for (const path of [place.file, place.ledger]) expect(JSON.parse(readFileSync(path, "utf8")).used).toBe(1);
  });
  it("belongs to one process", () => {
    const counter = countInFiles({ ...place, create: true });
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_BUSY");
    counter.close();
    expect(codeOf(() => counter.take())).toBe("ZK_OPENING_BUSY");
    countInFiles(place).close();
  });
  it("loses one opening when a crash comes between its two files, and none is used twice", () => {
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    const before = readFileSync(place.file);
    expect(counter.take()).toBe(1);
    counter.close();
    writeFileSync(place.file, before);
    expect(countInFiles(place).take()).toBe(2);
  });
  it("retires the commitment after a restore", () => {
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    copyFileSync(place.file, join(folder, "backup"));
    counter.take();
    counter.take();
    counter.close();
    copyFileSync(join(folder, "backup"), place.file);
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
    expect(existsSync(`${place.file}.lock`)).toBe(false);
  });
  it("retires it when the ledger is gone, unreadable, ahead or another's", () => {
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    counter.close();
    const ledger = readFileSync(place.ledger, "utf8");
    for (const text of [
      "",
      "{}",
      ledger.replace('"used":1', '"used":9'),
      ledger.replace("abab", "cdcd"),
      ledger.replace('"budget":3', '"budget":9'),
    ]) {
      writeFileSync(place.ledger, text);
      expect(
        codeOf(() => countInFiles(place)),
        text,
      ).toBe("ZK_OPENING_RETIRED");
    }
    rmSync(place.ledger);
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
  });
  it("makes no counter for a commitment that was there before: both files gone is no new beginning", () => {
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    for (const path of [place.file, place.ledger]) rmSync(join(path, ".."), { recursive: true });
    expect(codeOf(() => counter.take())).not.toBe("nothing was thrown");
    counter.close();
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
    for (const path of [place.file, place.ledger]) mkdirSync(join(path, ".."), { recursive: true });
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
    expect(existsSync(`${place.file}.lock`)).toBe(false);
  });
  it("is made once", () => {
    countInFiles({ ...place, create: true }).close();
    expect(codeOf(() => countInFiles({ ...place, create: true }))).toBe("ZK_OPENING_RETIRED");
    rmSync(place.file);
    expect(codeOf(() => countInFiles({ ...place, create: true }))).toBe("ZK_OPENING_RETIRED");
    // A crash while it was made: the ledger alone, at nothing.
    expect(countInFiles(place).take()).toBe(0);
  });
  it("is retired when its file alone is gone", () => {
    const counter = countInFiles({ ...place, create: true });
    counter.take();
    counter.close();
    rmSync(place.file);
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_RETIRED");
  });
  it("outlives two crashes with a restart between them", () => {
    let counter = countInFiles({ ...place, create: true });
    for (const used of [1, 2]) {
      const before = readFileSync(place.file);
      counter.take();
      counter.close();
      writeFileSync(place.file, before);
      counter = countInFiles(place);
      for (const path of [place.file, place.ledger]) expect(JSON.parse(readFileSync(path, "utf8")).used).toBe(used);
    }
    expect(counter.take()).toBe(2);
  });
  it("gives nothing out under a lock that is another's, and leaves that lock", () => {
    const first = countInFiles({ ...place, create: true });
    rmSync(`${place.file}.lock`);
    expect(codeOf(() => first.take())).toBe("ZK_OPENING_BUSY");
    const second = countInFiles(place);
    expect(second.take()).toBe(0);
    expect(codeOf(() => first.take())).toBe("ZK_OPENING_BUSY");
    first.close();
    expect(codeOf(() => countInFiles(place))).toBe("ZK_OPENING_BUSY");
    expect(second.take()).toBe(1);
  });
});
