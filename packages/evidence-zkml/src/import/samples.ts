import { CountersignError } from "@countersign/core";
import type { Calibration } from "./calibration.ts";
import { uncalibrated } from "./fault.ts";
import { limits } from "./limits.ts";

const cut = (): never => uncalibrated("The calibration file is cut, or longer than it says.");
const strict = new TextDecoder("utf-8", { fatal: true });

function rows(values: Float32Array, size: number): Float32Array[] {
  if (values.length % size !== 0)
    return uncalibrated(
      `The calibration file holds ${values.length} numbers, no multiple of the model's ${size} inputs.`,
    );
  return Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, i * size + size));
}

/** IDX, as MNIST has it: two zeros, type 8 (bytes), rank, big-endian sizes. Bytes become 0 … 1. */
function readIdx(bytes: Uint8Array): Uint8Array {
  const rank = bytes[3] as number;
  if (bytes[2] !== 8 || rank < 1 || rank > 4 || bytes.length < 4 + 4 * rank) return cut();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 1;
  for (let d = 0; d < rank; d++) count *= view.getUint32(4 + 4 * d);
  return count === bytes.length - 4 - 4 * rank ? bytes.subarray(4 + 4 * rank) : cut();
}

const isIdx = (bytes: Uint8Array) => bytes.length > 4 && bytes[0] === 0 && bytes[1] === 0;

/** NumPy's format 1.0 or 2.0 with little-endian float32 or float64 in C order. */
function readNpy(bytes: Uint8Array): Float32Array {
  if (bytes.length < 12) return cut();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6] === 2;
  const start = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  if (start > bytes.length) return cut();
  const header = new TextDecoder("latin1").decode(bytes.subarray(wide ? 12 : 10, start));
  const type = /'descr': '<f([48])'/.exec(header)?.[1];
  const shape = /'shape': \(([0-9, ]*)\)/.exec(header)?.[1];
  if (type === undefined || shape === undefined || !/'fortran_order': False/.test(header))
    return uncalibrated("The .npy file holds no float32 or float64 numbers in C order.");
  const dims = shape
    .split(",")
    .filter((d) => d.trim() !== "")
    .map(Number);
  const body = bytes.slice(start);
  if (dims.reduce((a, b) => a * b, 1) * Number(type) !== body.length) return cut();
  return type === "4" ? new Float32Array(body.buffer) : Float32Array.from(new Float64Array(body.buffer));
}

function readJson(text: string): Calibration {
  const value = JSON.parse(text) as { samples?: unknown; labels?: unknown };
  const numbers = (list: unknown): list is number[] => Array.isArray(list) && list.every((x) => typeof x === "number");
  const { samples, labels } = value;
  if (!Array.isArray(samples) || !samples.every(numbers) || !(labels === undefined || numbers(labels)))
    return uncalibrated('The JSON calibration file is no {"samples": [[…], …], "labels": […]}.');
  return { samples: samples.map((s) => Float32Array.from(s)), labels };
}

/** Lines of numbers; with a first line of names a column called `label` gives the labels. */
function readCsv(text: string, size: number): Calibration {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const first = (lines[0] ?? "").split(",");
  const named = first.some((cell) => Number.isNaN(Number(cell)));
  const at = named ? first.findIndex((cell) => cell.trim() === "label") : -1;
  const labels: number[] = [];
  const samples = lines.slice(named ? 1 : 0).map((line, i) => {
    const cells = line.split(",").map((cell) => (cell.trim() === "" ? Number.NaN : Number(cell)));
    if (at >= 0) labels.push(...cells.splice(at, 1));
    if (cells.length !== size)
      return uncalibrated(`Line ${i + 1} of the calibration file has ${cells.length} numbers, not ${size}.`);
    return Float32Array.from(cells);
  });
  return at >= 0 ? { samples, labels } : { samples };
}

/**
 * Reads a calibration set from a file of the user's: `.npy`, IDX (bytes become 0 … 1), JSON or CSV, told apart by their
 * first bytes; `labels` is a second IDX file. Whether the numbers suit the model is asked by the import.
 *
 * @throws ZK_CALIBRATION_INVALID
 */
export function readCalibration(bytes: Uint8Array, size: number, labels?: Uint8Array): Calibration {
  if (bytes.length > 4 * limits.calibrationValues) return uncalibrated("The calibration file is too large.");
  const more = labels === undefined ? {} : { labels: [...readIdx(labels)] };
  try {
    if (isIdx(bytes))
      return {
        samples: rows(
          Float32Array.from(readIdx(bytes), (x) => x / 255),
          size,
        ),
        ...more,
      };
    if (bytes[0] === 0x93 && strict.decode(bytes.subarray(1, 6)) === "NUMPY")
      return { samples: rows(readNpy(bytes), size), ...more };
    const text = strict.decode(bytes);
    return { ...(text.trimStart().startsWith("{") ? readJson(text) : readCsv(text, size)), ...more };
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw new CountersignError("ZK_CALIBRATION_INVALID", { message: "The calibration file cannot be read.", cause });
  }
}
