import lande from "lande";
import { beforeAll, describe, expect, test } from "vitest";
import { openSession, type Session } from "./fixtures/session.ts";
import { type LanguageWeights, languageFeatures, languageModel, readLanguageWeights } from "./language.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";

const sentences: readonly (readonly [string, string])[] = [
  ["eng", "The committee will publish its findings before the end of the year."],
  ["deu", "Der nächste Zug nach München fährt in zwanzig Minuten ab."],
  ["fra", "Nous avons passé tout l'été dans une petite maison au bord de la mer."],
  ["spa", "Mañana por la mañana iremos al mercado para comprar fruta fresca."],
  ["ita", "Questa mattina ho bevuto un caffè con mia sorella in piazza."],
  ["por", "Ontem não consegui encontrar as chaves do meu carro em lugar nenhum."],
  ["nld", "Ik heb gisteren een nieuwe fiets gekocht en ben er erg blij mee."],
  ["pol", "Wczoraj wieczorem czytaliśmy książkę przy kominku."],
  ["rus", "Вчера вечером мы долго гуляли по берегу реки."],
  ["ell", "Το καλοκαίρι πηγαίνουμε κάθε μέρα στη θάλασσα."],
  ["jpn", "明日は友達と一緒に映画を見に行くつもりです。"],
  ["kor", "오늘은 날씨가 좋아서 공원에서 산책을 했습니다."],
  ["heb", "אתמול בערב הלכנו לטייל על שפת הים."],
  ["tur", "Yarın sabah erkenden İstanbul'a doğru yola çıkacağız."],
];
const odd = ["a", " ", "1234 !!", "well-known - -- co-op", "İı ẞ", "🙂 hello 🙂", "mixed текст and 文字", "x\n\n\ty"];

/** The network in toygrad's arithmetic: sums in double, stored as float32. */
function forward(w: LanguageWeights, features: Float32Array): Float32Array {
  const layer = (x: Float32Array, rows: Float32Array, bias: Float32Array): Float32Array =>
    bias.map((b, i) => x.reduce((sum, v, k) => sum + v * (rows[i * x.length + k] as number), 0) + b);
  const logits = layer(
    layer(features, w.hidden, w.hiddenBias).map((x) => Math.max(0, x)),
    w.output,
    w.outputBias,
  );
  const top = Math.max(...logits);
  const powers = Array.from(logits, (x) => Math.exp(x - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (x) => Math.fround(x) / total);
}

describe("language identification", () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession(languageModel);
  });

  test.each(sentences)("%s is first for: %s", async (language, text) => {
    const answer = await session.ask({ text, limit: 3 });
    expect(answer.languages).toHaveLength(3);
    expect(answer).toMatchObject({
      languages: [{ language, probability: expect.stringMatching(/^[01]\.\d{6}$/) }, {}, {}],
    });
  });

  test("features and weights give the package's own probabilities to the bit, the graph to float32 rounding", async () => {
    const weights = await readLanguageWeights();
    for (const text of [...sentences.map(([, t]) => t), ...odd]) {
      const features = await languageFeatures(text);
      const exact = forward(weights, features);
      const out = await session.run([tensorOf("features", "float32", [1, 620], features)]);
      const graph = asFloat32(pickTensor(out, "probabilities"));
      // The package lists languages by score; the network's own order is by name.
      const theirs = lande(text).toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(theirs).toHaveLength(50);
      theirs.forEach(([, probability], i) => {
        expect(exact[i]).toBe(probability);
        expect(Math.abs((graph[i] as number) - probability)).toBeLessThan(1e-4);
      });
    }
  });

  test("refuses what it cannot judge", async () => {
    await expect(session.ask({ text: "12 345 !?" })).rejects.toMatchObject({ code: "REQUEST_FIELD_INVALID" });
    await expect(session.ask({ text: "fine", extra: 1 })).rejects.toMatchObject({ code: "REQUEST_FIELD_INVALID" });
    await expect(session.ask({ text: "a".repeat(100_001) })).rejects.toMatchObject({ code: "INPUT_TOO_LARGE" });
    await expect(session.ask({ text: "\ud800" })).rejects.toMatchObject({ code: "REQUEST_FIELD_INVALID" });
  });
});
