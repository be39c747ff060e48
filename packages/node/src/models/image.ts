import { CountersignError } from "@countersign/core";
import * as z from "zod";
import { readBody } from "./body.ts";
import { isPng, readPng } from "./png.ts";

/** Pixels, three bytes each, rows from the top. */
export type Image = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };

const maxPixels = 4_194_304;
/** Body of the image tasks: base64 of a PNG (8-bit, not interlaced), PGM (P5) or PPM (P6) file. */
const body = z.strictObject({ image: z.base64().max(4 * maxPixels * 3) });

/** Reads the `image` of a body. @throws REQUEST_FIELD_INVALID when it is in no known format; at most 4,194,304 pixels. */
export function readImage(value: unknown): Image {
  const file = new Uint8Array(Buffer.from(readBody(body, value).image, "base64"));
  try {
    return isPng(file) ? readPng(file, maxPixels) : readNetpbm(file);
  } catch (cause) {
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: `The image cannot be read: ${(cause as Error).message}.`,
      remedy: "Send base64 of an 8-bit PNG without interlacing, or of a binary PGM (P5) or PPM (P6) file.",
      param: "image",
      cause,
    });
  }
}

/** Reads a binary PGM (P5) or PPM (P6) file of 8 bits a sample; comments are not supported. */
function readNetpbm(file: Uint8Array): Image {
  const head = /^P([56])\s(\d{1,5})\s(\d{1,5})\s255\s/.exec(Buffer.from(file.subarray(0, 32)).toString("latin1"));
  if (!head) throw new RangeError("it is neither PNG nor binary PGM or PPM with 255 levels");
  const [width, height, channels] = [Number(head[2]), Number(head[3]), head[1] === "5" ? 1 : 3];
  if (width === 0 || height === 0 || width * height > maxPixels) {
    throw new RangeError(`the image is not between 1 and ${maxPixels} pixels`);
  }
  const samples = file.subarray(head[0].length);
  if (samples.length !== width * height * channels) throw new RangeError("the number of pixels is not as declared");
  const rgb =
    channels === 3
      ? samples
      : Uint8Array.from({ length: 3 * samples.length }, (_, i) => samples[Math.floor(i / 3)] as number);
  return { width, height, rgb };
}

/** How pixel values become floats: `(value / 255 − mean) / deviation`, per channel in blue, green, red order. */
export type Scaling = {
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
};

/**
 * Scales an image bilinearly (pixel centres aligned) to `width × height` and writes it as planes in blue, green, red
 * order, the order of PaddleOCR's training, at the left of a plane `paddedWidth` wide; the rest is zero.
 */
export function toPlanes(
  image: Image,
  width: number,
  height: number,
  paddedWidth: number,
  scaling: Scaling,
): Float32Array {
  const out = new Float32Array(3 * height * paddedWidth);
  const columns = samplePoints(image.width, width);
  const rows = samplePoints(image.height, height);
  const at = (x: number, y: number, c: number): number => image.rgb[3 * (y * image.width + x) + c] as number;
  for (let plane = 0; plane < 3; plane++) {
    const c = 2 - plane;
    const mean = scaling.mean[plane] as number;
    const deviation = scaling.deviation[plane] as number;
    for (const [y, row] of rows.entries()) {
      for (const [x, column] of columns.entries()) {
        const top = at(column.low, row.low, c) * (1 - column.part) + at(column.high, row.low, c) * column.part;
        const bottom = at(column.low, row.high, c) * (1 - column.part) + at(column.high, row.high, c) * column.part;
        const value = Math.round(top * (1 - row.part) + bottom * row.part);
        out[(plane * height + y) * paddedWidth + x] = (value / 255 - mean) / deviation;
      }
    }
  }
  return out;
}

function samplePoints(
  from: number,
  to: number,
): readonly { readonly low: number; readonly high: number; readonly part: number }[] {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, from - 1), part: at - low };
  });
}
