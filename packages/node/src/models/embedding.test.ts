import { beforeAll, describe, expect, test } from "vitest";
import { embeddingModel } from "./embedding.ts";
import { openSession, type Session } from "./fixtures/session.ts";

const decode = (text: string) => Array.from(new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer));
const cosine = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

describe("text embeddings", () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession(embeddingModel);
  });
  const embed = async (...input: string[]) => ((await session.ask({ input })).embeddings as string[]).map(decode);

  test.each([
    ["The ship sails at noon.", "The boat leaves at midday.", "Interest rates rose again in March."],
    ["The doctor treated the patient.", "A physician cared for a sick woman.", "The team won the football match."],
    ["The court found the company guilty.", "Judges convicted the firm.", "She baked bread with olive oil."],
    ["How do I install this software?", "Setup guide for the computer program", "The river flows through the valley."],
  ])("%s is nearer to %s than to %s", async (a, b, c) => {
    const [x = [], y = [], z = []] = await embed(a, b, c);
    expect(x).toHaveLength(100);
    expect(cosine(x, x)).toBeCloseTo(1, 5);
    expect(cosine(x, y)).toBeGreaterThan(cosine(x, z) + 0.15);
  });

  test("padding changes nothing and words are counted", async () => {
    const text = "Trust is good, proof is better";
    const [alone = []] = await embed(text);
    const [beside = []] = await embed(
      text,
      "a much longer text which forces the first one to be filled up with padding",
    );
    expect(cosine(alone, beside)).toBeCloseTo(1, 5);
    expect(await session.ask({ input: "Zyxqvw is good" })).toMatchObject({ words: 3, knownWords: 2, dimensions: 100 });
  });

  test("a text without a known word is refused rather than embedded as nothing", async () => {
    await expect(session.ask({ input: ["fine", "zyxqvw"] })).rejects.toMatchObject({ code: "REQUEST_FIELD_INVALID" });
    await expect(session.ask({ input: [] })).rejects.toMatchObject({ code: "REQUEST_FIELD_INVALID" });
    const long = Array.from({ length: 256 }, () => "good ".repeat(300));
    await expect(session.ask({ input: long })).rejects.toMatchObject({ code: "INPUT_TOO_LARGE" });
  });
});
