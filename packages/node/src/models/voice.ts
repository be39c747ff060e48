import { CountersignError } from "@countersign/core";
import * as z from "zod";
import { decimal, readBody } from "./body.ts";
import { wrapInScan } from "./onnx.ts";
import { readPackageFile } from "./package-file.ts";
import { checkDigest, type FriendlyTask, type OnnxModelSource } from "./source.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";

const rate = 16_000;
const frame = 512;
const context = 64;
const maxSeconds = 300;

const file = { name: "@ricky0123/vad-web", version: "0.0.31", file: "dist/silero_vad_v5.onnx" };
const digest = "2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f";
const licence = {
  weights: "MIT (Silero Team, silero-vad)",
  package: "ISC",
  upstream: "github.com/snakers4/silero-vad",
};

/** Voice activity, one step of 512 samples a run: the caller carries state and the last 64 samples, as in /v1/infer. */
export const voiceStepModel: OnnxModelSource = {
  id: "silero-vad-v5",
  job: "voice-activity",
  title: "Silero VAD v5, one frame at a time",
  description:
    "Probability that a frame of 512 samples (32 ms at 16 kHz) holds speech. `input` is the last 64 samples of the frame before, then the frame; `state` starts as zeros; `sr` is 16000.",
  licence,
  package: file,
  converted: false,
  sha256: digest,
  assets: [],
  load: () => readPackageFile(file),
  inputs: [
    { name: "input", type: "float32", dims: ["", ""] },
    { name: "state", type: "float32", dims: [2, "", 128] },
    { name: "sr", type: "int64", dims: [] },
  ],
  outputs: [
    { name: "output", type: "float32", dims: ["", 1] },
    { name: "stateN", type: "float32", dims: ["", "", ""] },
  ],
};

const body = z.strictObject({
  /** Mono samples at 16 kHz, little-endian: base64 of 16-bit integers, or of 32-bit floats in -1…1. */
  audio: z.base64(),
  encoding: z.enum(["pcm16", "float32"]),
  sampleRate: z.literal(rate),
  threshold: z.number().min(0).max(1).optional(),
});

function readSamples(value: unknown): Float32Array {
  const { audio, encoding } = readBody(body, value);
  const size = encoding === "pcm16" ? 2 : 4;
  const count = Math.floor((audio.length * 3) / 4 / size);
  if (count > maxSeconds * rate) {
    throw new CountersignError("INPUT_TOO_LARGE", {
      message: `The audio is longer than ${maxSeconds} seconds.`,
      param: "audio",
    });
  }
  const raw = new Uint8Array(Buffer.from(audio, "base64"));
  if (raw.length === 0 || raw.length % size !== 0) {
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: `The audio has ${raw.length} bytes, which is not a whole number of ${encoding} samples.`,
      param: "audio",
    });
  }
  if (encoding === "pcm16") return Float32Array.from(new Int16Array(raw.buffer), (x) => x / 32_768);
  const samples = new Float32Array(raw.buffer);
  if (samples.every((x) => x >= -1 && x <= 1)) return samples;
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: "A float sample is not a number from -1 to 1.",
    param: "audio",
  });
}

/** Frames of 64 + 512 samples: each begins with the end of the one before; the last is filled with silence. */
function cutFrames(samples: Float32Array): Float32Array {
  const count = Math.ceil(samples.length / frame);
  const frames = new Float32Array(count * (context + frame));
  for (let i = 0; i < count; i++) {
    const at = i * (context + frame);
    if (i > 0) frames.set(samples.subarray(i * frame - context, i * frame), at);
    frames.set(samples.subarray(i * frame, (i + 1) * frame), at + context);
  }
  return frames;
}

const task: FriendlyTask = {
  path: "/v1/tasks/voice-activity",
  example: { audio: "…", encoding: "pcm16", sampleRate: rate },
  async encode(value) {
    const frames = cutFrames(readSamples(value));
    return [
      tensorOf("frames", "float32", [frames.length / (context + frame), 1, context + frame], frames),
      tensorOf("firstState", "float32", [2, 1, 128], new Float32Array(256)),
      tensorOf("sr", "int64", [], BigInt64Array.of(BigInt(rate))),
    ];
  },
  async decode(outputs, value) {
    const { threshold = 0.5 } = readBody(body, value);
    const speech = asFloat32(pickTensor(outputs, "speech"));
    const loud = speech.reduce((n, p) => n + (p >= threshold ? 1 : 0), 0);
    return {
      frameMilliseconds: (1000 * frame) / rate,
      frames: Array.from(speech, decimal),
      speechMilliseconds: (loud * 1000 * frame) / rate,
    };
  },
};

// Free sizes, as in the original graph: with fixed ones ONNX's shape inference follows the 8 kHz branch into an error.
const frames = { name: "frames", type: "float32", dims: ["count", "batch", "width"] } as const;
const firstState = { name: "firstState", type: "float32", dims: [2, "batch", 128] } as const;
const sampleRate = { name: "sr", type: "int64", dims: [] } as const;
const speech = { name: "speech", type: "float32", dims: ["count", "batch", 1] } as const;
const lastState = { name: "lastState", type: "float32", dims: [2, "batch", 128] } as const;

/** Voice activity over a whole recording in one run: the same network inside a Scan loop, so that one receipt covers it. */
export const voiceModel: OnnxModelSource = {
  id: "silero-vad-v5-clip",
  job: "voice-activity",
  title: "Silero VAD v5 over a recording",
  description: `Probability of speech for each 32 ms of up to ${maxSeconds} seconds of 16 kHz mono audio. The nodes and weights of silero-vad-v5, byte for byte, inside one ONNX Scan loop.`,
  licence,
  package: file,
  converted: true,
  sha256: "f94eee2f087db6a80b45a9903381ac71df025c39a554c586dd4167a0ccdbf107",
  assets: [],
  async load() {
    const bytes = await readPackageFile(file);
    checkDigest(bytes, digest, `${file.name}/${file.file}`);
    return wrapInScan(bytes, {
      name: "silero-vad-v5-clip",
      inner: { state: "state", nextState: "stateN", step: "input", result: "output" },
      outer: { state: firstState, steps: frames, lastState, results: speech },
      shared: [sampleRate],
    });
  },
  inputs: [frames, firstState, sampleRate],
  outputs: [speech, lastState],
  task,
};
