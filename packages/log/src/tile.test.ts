import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layOutLog } from "./static-log.ts";
import { decodeBundle, encodeBundle, parseTilePath, partialTiles, tileAt, tilePath } from "./tile.ts";

describe("tiles", () => {
  it("spells indices as the specification does", () => {
    expect(tilePath({ level: 0, index: 1234067, width: 256 })).toBe("tile/0/x001/x234/067");
    expect(tilePath({ level: "entries", index: 0, width: 5 })).toBe("tile/entries/000.p/5");
    expect(tilePath({ level: 2, index: 1000, width: 255 })).toBe("tile/2/x001/000.p/255");
  });

  it("has the tiles of the specification's example sizes", () => {
    const at = (level: number, index: number, size: number) => tileAt(level, index, size)?.width;
    expect([at(0, 272, 70000), at(0, 273, 70000), at(0, 274, 70000)]).toEqual([256, 112, undefined]);
    expect([at(1, 0, 70000), at(1, 1, 70000), at(2, 0, 70000), at(3, 0, 70000)]).toEqual([256, 17, 1, undefined]);
    expect(partialTiles(256)).toEqual([{ level: 1, index: 0, width: 1 }]);
    expect([...layOutLog(Array(256).fill(new Uint8Array(1))).files.keys()].sort()).toEqual([
      "tile/0/000",
      "tile/1/000.p/1",
      "tile/entries/000",
    ]);
  });

  it("reads back the paths it writes, and no other text", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat({ max: 63 }), fc.constant("entries" as const)),
        fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        fc.integer({ min: 1, max: 256 }),
        (level, index, width) => {
          expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width });
        },
      ),
    );
    for (const bad of [
      "tile/0/../../secret",
      "tile/0/0",
      "tile/00/000",
      "tile/64/000",
      "tile/0/x000/001",
      "tile/0/1234/067",
      "tile/0/x001/x234/067/",
      "tile/0/000.p/0",
      "tile/0/000.p/256",
      "tile/0/000.p/01",
      "/tile/0/000",
      "tile/entries/000\n",
      "tile/0/x999/x999/x999/x999/x999/x999/999",
    ])
      expect(parseTilePath(bad), bad).toBeUndefined();
  });

  it("bundles entries reversibly and refuses what does not fit", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 256 }), (entries) => {
        const bytes = encodeBundle(entries);
        expect(decodeBundle(bytes, entries.length).map((e) => [...e])).toEqual(entries.map((e) => [...e]));
        expect(() => decodeBundle(bytes, entries.length + 1)).toThrow(/LOG_CORRUPT/);
        expect(() => decodeBundle(bytes.subarray(0, -1), entries.length)).toThrow(/LOG_CORRUPT/);
        expect(() => decodeBundle(Uint8Array.of(...bytes, 0), entries.length)).toThrow(/LOG_CORRUPT/);
      }),
      { numRuns: 50 },
    );
    expect(() => encodeBundle([new Uint8Array(65536)])).toThrow(/LOG_ENTRY_TOO_LARGE/);
    expect(decodeBundle(encodeBundle([new Uint8Array(65535)]), 1)[0]).toHaveLength(65535);
  });
});
