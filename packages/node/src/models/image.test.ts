import { crc32, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { readFixture } from "./fixtures/session.ts";
import { readImage, toPlanes } from "./image.ts";

const read = (file: Uint8Array) => readImage({ image: Buffer.from(file).toString("base64") });

function chunk(type: string, data: Uint8Array): Buffer {
  const covered = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(covered.length + 8);
  out.writeUInt32BE(data.length, 0);
  covered.copy(out, 4);
  out.writeUInt32BE(crc32(covered), covered.length + 4);
  return out;
}

function makePng(width: number, height: number, colour: number, lines: Uint8Array, depth = 8): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("PLTE", Uint8Array.of(1, 2, 3, 250, 251, 252)),
    chunk("IDAT", deflateSync(lines)),
    chunk("IEND", new Uint8Array()),
  ]);
}

test("PNG: grey, colour, palette, alpha and all five filters", () => {
  expect([...read(makePng(2, 1, 0, Uint8Array.of(0, 10, 20))).rgb]).toEqual([10, 10, 10, 20, 20, 20]);
  expect([...read(makePng(1, 1, 2, Uint8Array.of(0, 1, 2, 3))).rgb]).toEqual([1, 2, 3]);
  expect([...read(makePng(2, 1, 3, Uint8Array.of(0, 1, 0))).rgb]).toEqual([250, 251, 252, 1, 2, 3]);
  expect([...read(makePng(1, 1, 6, Uint8Array.of(0, 0, 0, 0, 0))).rgb]).toEqual([255, 255, 255]);
  // Lines by filter: none, sub, up, average, Paeth; all decode to the same two samples 100, 150.
  const lines = Uint8Array.of(0, 100, 150, 1, 100, 50, 2, 0, 0, 3, 50, 25, 4, 0, 0);
  const grey = read(makePng(2, 5, 0, lines)).rgb.filter((_, i) => i % 3 === 0);
  expect([...grey]).toEqual([100, 150, 100, 150, 100, 150, 100, 150, 100, 150]);
});

test("PNG: what is broken, too big or of another kind is refused", () => {
  const good = makePng(2, 1, 0, Uint8Array.of(0, 10, 20));
  const refused = { code: "REQUEST_FIELD_INVALID" };
  const check = (file: Uint8Array) => expect(() => read(file)).toThrow(expect.objectContaining(refused));
  for (let at = 8; at < good.length; at++) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] as number) ^ 1;
    check(bad);
  }
  check(good.subarray(0, 40));
  check(makePng(2, 1, 0, Uint8Array.of(9, 10, 20)));
  check(makePng(2, 1, 3, Uint8Array.of(0, 7, 0)));
  check(makePng(2, 1, 0, Uint8Array.of(0, 1, 2, 3, 4), 16));
  check(makePng(1, 1, 0, new Uint8Array(1_000_000)));
  check(makePng(100_000, 100_000, 0, new Uint8Array(9)));
});

test("netpbm: grey and colour are read, other counts are refused", () => {
  expect(read(readFixture("line.pgm"))).toMatchObject({ width: 225, height: 48 });
  expect([...read(Buffer.from("P6 1 1 255 abc")).rgb]).toEqual([97, 98, 99]);
  for (const text of ["P5 1 1 255 ab", "P5 0 1 255 ", "P5 1 1 65535 ab", "GIF89a", ""]) {
    expect(() => read(Buffer.from(text))).toThrow(expect.objectContaining({ code: "REQUEST_FIELD_INVALID" }));
  }
});

test("planes are blue, green, red, scaled, and zero where nothing is", () => {
  const plain = { mean: [0, 0, 0], deviation: [1, 1, 1] } as const;
  const image = { width: 2, height: 1, rgb: Uint8Array.of(255, 0, 51, 255, 0, 51) };
  const planes = toPlanes(image, 2, 1, 3, plain);
  expect(Array.from(planes, (x) => Math.round(10 * x))).toEqual([2, 2, 0, 0, 0, 0, 10, 10, 0]);
});
