import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { expect, it } from "vitest";
import { verifierKey } from "../vkey.ts";
import { fsckDirectory } from "./fsck.ts";
import { openLog } from "./sequencer.ts";

const origin = "log.example/fsck";
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const log = verifierKey(origin, "note", signer.publicKey);

it("finds a changed byte anywhere in any file, and missing and foreign files", async () => {
  const dir = mkdtempSync(join(tmpdir(), "countersign-fsck-"));
  try {
    const writer = await openLog({ dir, origin, signer, suite: nodeSuite, flushEvery: 0 });
    for (let i = 0; i < 6; i++) {
      const part = Array.from({ length: 90 }, (_, k) => writer.append(utf8(`entry ${i} ${k}`)));
      await (await (part[0] as (typeof part)[0])).integrated;
    }
    await writer.close();
    const fsck = () => fsckDirectory({ dir, log, suite: nodeSuite });
    const clean = await fsck();
    expect(clean).toMatchObject({ size: 540, entries: 540, faults: [] });
    expect(clean.files).toBeGreaterThan(8);
    const files = readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && file.name !== "lock")
      .map((file) => join(file.parentPath, file.name));
    expect(files.some((file) => file.includes("/wal/"))).toBe(true);
    for (const file of files) {
      const bytes = readFileSync(file);
      for (const at of [0, 1, bytes.length >> 1, bytes.length - 2, bytes.length - 1]) {
        for (const bit of [0x01, 0x80]) {
          writeFileSync(file, bytes.with(at, (bytes[at] as number) ^ bit));
          const { faults } = await fsck();
          expect(faults.length, `${relative(dir, file)} byte ${at}`).toBeGreaterThan(0);
        }
      }
      writeFileSync(file, bytes.subarray(0, -1));
      expect((await fsck()).faults.length, `${relative(dir, file)} cut`).toBeGreaterThan(0);
      writeFileSync(file, bytes);
    }
    writeFileSync(join(dir, "tile/0/002.p/99"), "junk");
    writeFileSync(join(dir, "tile/readme"), "junk");
    expect((await fsck()).faults.map(({ path }) => path).toSorted()).toEqual(["tile/0/002.p/99", "tile/readme"]);
    rmSync(join(dir, "tile/0/002.p/99"));
    rmSync(join(dir, "tile/readme"));
    rmSync(join(dir, "tile/0/001"));
    expect((await fsck()).faults).toMatchObject([{ path: "tile/0/001" }]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
