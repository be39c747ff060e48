import { describe, expect, test } from "vitest";
import { openSession, readFixture } from "./fixtures/session.ts";
import { orientationModel, recognitionModel } from "./ocr.ts";
import { detectionModel } from "./ocr-detection.ts";
import { readAsset } from "./package-file.ts";
import { tensorOf } from "./tensor.ts";

const image = (name: string) => ({ image: readFixture(name).toString("base64") });

describe("text in images", () => {
  test("reads a line", async () => {
    const session = await openSession(recognitionModel);
    const answer = await session.ask(image("line.pgm"));
    expect(answer.text).toBe("Receipt 4711");
    expect(Number(answer.confidence)).toBeGreaterThan(0.95);
  });

  test("reads nothing from an empty page", async () => {
    const session = await openSession(recognitionModel);
    const blank = Buffer.concat([Buffer.from("P5\n200 48\n255\n"), Buffer.alloc(200 * 48, 255)]);
    expect(await session.ask({ image: blank.toString("base64") })).toEqual({ text: "", confidence: "0.000000" });
  });

  test("tells upright from upside down", async () => {
    const session = await openSession(orientationModel);
    expect(await session.ask(image("line.pgm"))).toMatchObject({ degrees: 0 });
    expect(await session.ask(image("line-turned.pgm"))).toMatchObject({ degrees: 180 });
  });

  test("finds both lines of a page where they were drawn", async () => {
    const session = await openSession(detectionModel);
    const { boxes } = (await session.ask(image("page.png"))) as unknown as { boxes: Record<string, number>[] };
    expect(boxes).toHaveLength(2);
    // Drawn at (30, 30) and (60, 120), 24 points high.
    for (const [i, [left, top]] of [
      [30, 30],
      [60, 120],
    ].entries()) {
      expect(Math.abs((boxes[i]?.left as number) - (left as number))).toBeLessThan(10);
      expect(Math.abs((boxes[i]?.top as number) - (top as number))).toBeLessThan(10);
      expect(boxes[i]?.width).toBeGreaterThan(90);
      expect(boxes[i]?.height).toBeLessThan(45);
    }
  });

  test("joins repeats of a character unless a blank parts them", async () => {
    const dictionary = (await readAsset(recognitionModel.assets[0] as (typeof recognitionModel.assets)[0])).split("\n");
    const [a, b] = [1 + dictionary.indexOf("a"), 1 + dictionary.indexOf("b")];
    const steps = [0, a, a, 0, a, b, b, 6624, 0, b];
    const scores = new Float32Array(steps.length * 6625);
    for (const [i, best] of steps.entries()) scores[i * 6625 + best] = 0.5;
    const output = tensorOf("softmax_11.tmp_0", "float32", [1, steps.length, 6625], scores);
    expect(await recognitionModel.task?.decode([output], {})).toEqual({ text: "aab b", confidence: "0.500000" });
  });

  test("refuses a line that is far too long", async () => {
    const thin = Buffer.concat([Buffer.from("P5\n20000 2\n255\n"), Buffer.alloc(40_000)]);
    await expect(recognitionModel.task?.encode({ image: thin.toString("base64") })).rejects.toMatchObject({
      code: "INPUT_TOO_LARGE",
    });
  });
});
