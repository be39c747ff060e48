import { beforeAll, describe, expect, test } from "vitest";
import { openSession, type Session } from "./fixtures/session.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";
import { voiceModel, voiceStepModel } from "./voice.ts";

const rate = 16_000;

/** A fixed pseudo-random sequence in −0.5…0.5. */
function makeNoise(): () => number {
  let seed = 1;
  return () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed / 2 ** 32 - 0.5;
  };
}

/** Vowels made by formant synthesis: a pulse train of a moving pitch through three moving resonators. No recording. */
function synthesiseVowels(seconds: number): Float32Array {
  const noise = makeNoise();
  const vowels = [
    [730, 1090, 2440],
    [270, 2290, 3010],
    [300, 870, 2240],
    [530, 1840, 2480],
    [570, 840, 2410],
  ] as const;
  const memory = [
    [0, 0],
    [0, 0],
    [0, 0],
  ] as [[number, number], [number, number], [number, number]];
  let phase = 0;
  const out = Float32Array.from({ length: seconds * rate }, (_, i) => {
    const t = i / rate;
    const part = (t * 4) % 1;
    const from = vowels[Math.floor(t * 4) % 5] as readonly number[];
    const to = vowels[(Math.floor(t * 4) + 1) % 5] as readonly number[];
    const mix = Math.max(0, (part - 0.6) / 0.4);
    phase += (120 + 20 * Math.sin(4.4 * t) + 3 * Math.sin(31 * t)) / rate;
    const pulse = phase >= 1 ? 1 : 0;
    phase -= pulse;
    let y = (pulse + 0.02 * noise()) * (0.35 + 0.65 * Math.sin(Math.PI * part) ** 0.6);
    memory.forEach((z, j) => {
      const f = (from[j] as number) * (1 - mix) + (to[j] as number) * mix;
      const r = Math.exp((-Math.PI * ([60, 90, 150][j] as number)) / rate);
      const c = 2 * r * Math.cos((2 * Math.PI * f) / rate);
      y = (1 - c + r * r) * y + c * z[0] - r * r * z[1];
      z[1] = z[0];
      z[0] = y;
    });
    return y;
  });
  const peak = out.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return out.map((x) => (0.5 * x) / peak);
}

const float32 = (samples: Float32Array) => ({
  audio: Buffer.from(samples.buffer).toString("base64"),
  encoding: "float32",
  sampleRate: rate,
});
const pcm16 = (samples: Float32Array) => ({
  audio: Buffer.from(Int16Array.from(samples, (x) => Math.round(32_767 * x)).buffer).toString("base64"),
  encoding: "pcm16",
  sampleRate: rate,
});

describe("voice activity", () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession(voiceModel);
  });
  const frames = async (body: unknown) => ((await session.ask(body)).frames as string[]).map(Number);
  const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;

  test("synthetic vowels sound like speech; silence, a tone and noise don't", async () => {
    const vowels = await frames(pcm16(synthesiseVowels(3)));
    expect(vowels).toHaveLength(94);
    expect(mean(vowels)).toBeGreaterThan(0.8);
    const noise = makeNoise();
    for (const other of [
      new Float32Array(2 * rate),
      Float32Array.from({ length: 2 * rate }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 440 * i) / rate)),
      Float32Array.from({ length: 2 * rate }, () => 0.2 * noise()),
    ]) {
      const answer = await session.ask(float32(other));
      expect(answer.speechMilliseconds).toBe(0);
      expect(mean((answer.frames as string[]).map(Number))).toBeLessThan(0.05);
    }
  });

  test("the loop gives what the original gives frame by frame, to the last digit shown", async () => {
    const samples = synthesiseVowels(1);
    const looped = await frames(float32(samples));
    const step = await openSession(voiceStepModel);
    let state = tensorOf("state", "float32", [2, 1, 128], new Float32Array(256));
    const stepped: number[] = [];
    for (let at = 0; at < samples.length; at += 512) {
      const input = new Float32Array(576);
      if (at > 0) input.set(samples.subarray(at - 64, at));
      input.set(samples.subarray(at, at + 512), 64);
      const out = await step.run([
        tensorOf("input", "float32", [1, 576], input),
        state,
        tensorOf("sr", "int64", [], BigInt64Array.of(16_000n)),
      ]);
      state = { ...pickTensor(out, "stateN"), name: "state" };
      stepped.push(asFloat32(pickTensor(out, "output"))[0] as number);
    }
    expect(looped).toHaveLength(stepped.length);
    looped.forEach((p, i) => {
      expect(Math.abs(p - (stepped[i] as number))).toBeLessThan(2e-6);
    });
  });

  test("refuses half samples, loud floats, other rates and long recordings", async () => {
    const { task } = voiceModel;
    const base = { encoding: "pcm16", sampleRate: rate };
    const refusals = [
      [{ ...base, audio: "AAAA" }, "REQUEST_FIELD_INVALID"],
      [{ ...base, audio: "" }, "REQUEST_FIELD_INVALID"],
      [{ ...base, audio: "AAA=", sampleRate: 8000 }, "REQUEST_FIELD_INVALID"],
      [float32(Float32Array.of(2)), "REQUEST_FIELD_INVALID"],
      [float32(Float32Array.of(Number.NaN)), "REQUEST_FIELD_INVALID"],
      [{ ...base, audio: "AAAA".repeat(3_300_000) }, "INPUT_TOO_LARGE"],
    ] as const;
    for (const [body, code] of refusals) await expect(task?.encode(body)).rejects.toMatchObject({ code });
  });
});
