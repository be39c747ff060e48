import { crc32, inflateSync } from "node:zlib";
import type { Image } from "./image.ts";

// PNG (third edition, W3C 2025): 8-bit samples, not interlaced. Anything else is refused by name, never guessed.

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Whether bytes begin as a PNG file does. */
export const isPng = (file: Uint8Array): boolean => signature.every((byte, i) => file[i] === byte);

type Chunk = { readonly type: string; readonly data: Uint8Array };

function readChunks(file: Uint8Array): readonly Chunk[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks: Chunk[] = [];
  for (let at = signature.length; at < file.length; ) {
    if (at + 12 > file.length) throw new RangeError("the PNG file is cut short");
    const length = view.getUint32(at);
    if (at + 12 + length > file.length) throw new RangeError("the PNG file is cut short");
    const covered = file.subarray(at + 4, at + 8 + length);
    if (crc32(covered) !== view.getUint32(at + 8 + length)) throw new RangeError("a PNG checksum is wrong");
    chunks.push({ type: String.fromCharCode(...covered.subarray(0, 4)), data: covered.subarray(4) });
    at += 12 + length;
  }
  return chunks;
}

const paeth = (a: number, b: number, c: number): number => {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
};

/** Undoes the line filters (PNG §9) in place and returns the samples without filter bytes. */
function unfilter(lines: Uint8Array, stride: number, height: number, bpp: number): Uint8Array {
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const kind = lines[y * (stride + 1)] as number;
    if (kind > 4) throw new RangeError("a PNG line has an unknown filter");
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= bpp ? (out[at - bpp] as number) : 0;
      const up = y > 0 ? (out[at - stride] as number) : 0;
      const corner = x >= bpp && y > 0 ? (out[at - stride - bpp] as number) : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][kind] as number;
      out[at] = (lines[y * (stride + 1) + 1 + x] as number) + guess;
    }
  }
  return out;
}

/** Pixels of a PNG file; transparent parts are laid on white. @throws RangeError with the reason when it cannot be read. */
export function readPng(file: Uint8Array, maxPixels: number): Image {
  const chunks = readChunks(file);
  const header = chunks[0];
  if (header?.type !== "IHDR" || header.data.length !== 13) throw new RangeError("the PNG file has no header");
  const view = new DataView(header.data.buffer, header.data.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colour, interlace] = [view.getUint8(8), view.getUint8(9), view.getUint8(12)];
  const channels = channelsOf[colour];
  if (depth !== 8 || channels === undefined || interlace !== 0) {
    throw new RangeError("the PNG file is not 8-bit and non-interlaced");
  }
  if (width === 0 || height === 0 || width * height > maxPixels) {
    throw new RangeError(`the image is not between 1 and ${maxPixels} pixels`);
  }
  const need = (width * channels + 1) * height;
  const packed = Buffer.concat(chunks.filter((c) => c.type === "IDAT").map((c) => c.data));
  const lines = inflateSync(packed, { maxOutputLength: need });
  if (lines.length !== need) throw new RangeError("the PNG file has too few pixels");
  const samples = unfilter(lines, width * channels, height, channels);
  const palette = chunks.find((c) => c.type === "PLTE")?.data ?? new Uint8Array();
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const at = i * channels;
    const alpha = colour === 4 || colour === 6 ? (samples[at + channels - 1] as number) / 255 : 1;
    for (let c = 0; c < 3; c++) {
      const sample = samples[channels >= 3 ? at + c : at] as number;
      const value = colour === 3 ? palette[3 * sample + c] : sample;
      if (value === undefined) throw new RangeError("a PNG pixel names a colour outside the palette");
      rgb[3 * i + c] = Math.round(value * alpha + 255 * (1 - alpha));
    }
  }
  return { width, height, rgb };
}
