// Measures a GGUF of this folder through llama.cpp at temperature 0: template, tokens, accuracy by category, speed.
// node eval.mjs [--model FILE] [--limit N] [--ask "question"] [--system "prompt"] [--json FILE] [--misses]
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getLlama, readGgufFileInfo } from "node-llama-cpp";

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(here, "countersign-pocket.gguf") },
    limit: { type: "string" },
    ask: { type: "string" },
    system: { type: "string" },
    json: { type: "string" },
    misses: { type: "boolean", default: false },
  },
});

/** The template that the GGUF carries, by hand; checked against the carried one below. */
const render = (messages) =>
  `${messages.map((m) => `<|im_start|>${m.role}\n${m.content}<|im_end|>\n`).join("")}<|im_start|>assistant\n`;

const llama = await getLlama({ build: "never", gpu: false, logLevel: "error" });
const model = await llama.loadModel({ modelPath: values.model });
const context = await model.createContext({ contextSize: 512, threads: 1, batchSize: 256 });
const sequence = context.getSequence();
let generated = 0;
let seconds = 0;

/** The greedy answer, as text and token ids, with the rendered prompt's ids. */
async function answer(messages, most = 120) {
  const prompt = model.tokenize(render(messages), true);
  await sequence.clearHistory();
  const began = performance.now();
  const tokens = [];
  for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
    if (model.isEogToken(token) || tokens.length >= most) break;
    tokens.push(token);
  }
  seconds += (performance.now() - began) / 1000;
  generated += tokens.length + 1;
  return { text: model.detokenize(tokens), tokens, prompt };
}

/** The rule of tokenizer.py, once more: the merge with the highest score first, leftmost among equals. */
function encoder(info) {
  const { tokens, scores } = info.metadata.tokenizer.ggml;
  const first = 260;
  const ids = new Map(tokens.map((token, id) => [token, id]).filter(([, id]) => id >= first));
  return (text) => {
    const parts = [...text.replaceAll(" ", "\u2581")];
    for (;;) {
      let best = -1;
      let at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const id = ids.get(parts[i] + parts[i + 1]);
        if (id !== undefined && (at < 0 || scores[id] > scores[best])) {
          best = id;
          at = i;
        }
      }
      if (at < 0) break;
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
    return parts.flatMap((part) =>
      ids.has(part) ? [ids.get(part)] : [...new TextEncoder().encode(part)].map((byte) => 4 + byte),
    );
  };
}

if (values.ask !== undefined) {
  const messages = [{ role: "user", content: values.ask }];
  if (values.system !== undefined) messages.unshift({ role: "system", content: values.system });
  console.log((await answer(messages)).text);
  await llama.dispose();
  process.exit(0);
}

const info = await readGgufFileInfo(values.model);
const items = readFileSync(join(here, "evaluation.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
const chosen = values.limit === undefined ? items : items.filter((_, i) => i % Math.ceil(items.length / Number(values.limit)) === 0);

const encode = encoder(info);
const texts = items.flatMap((item) => [item.question, item.answer, `${item.system ?? ""}\n${item.answer}\n`]);
texts.push("Ünïcode ✓ 日本\n\ttabs  two spaces", "x  y\n\n z", "12345 + 67");
let wrong = 0;
for (const text of texts) {
  const ids = model.tokenize(text, false);
  if (ids.join() !== encode(text).join() || model.detokenize(ids) !== text) {
    wrong++;
    if (wrong < 4) console.error("tokens differ:", JSON.stringify(text), ids.join(), encode(text).join());
  }
}
const ids = model.tokenize(render([{ role: "user", content: "a" }]), true);
if (ids[0] !== 2 || !ids.includes(3) || !ids.includes(4 + 10)) throw new Error(`control tokens are not parsed: ${ids}`);
if (wrong > 0) throw new Error(`tokenizer: ${wrong} of ${texts.length} texts differ`);
console.log(`tokenizer: ${texts.length} texts agree with the trainer's rule and come back unchanged`);

const table = new Map();
for (const item of chosen) {
  const messages = [{ role: "user", content: item.question }];
  if (item.system !== null) messages.unshift({ role: "system", content: item.system });
  const { text } = await answer(messages);
  const row = table.get(item.category) ?? { right: 0, asked: 0 };
  row.asked++;
  if (text === item.answer) row.right++;
  else if (values.misses) console.log(`[${item.category}] ${item.system ?? ""} | ${item.question} -> ${text} (wanted: ${item.answer})`);
  table.set(item.category, row);
}
let right = 0;
for (const [category, row] of table) {
  right += row.right;
  console.log(`${category.padEnd(16)} ${String(row.right).padStart(3)} / ${String(row.asked).padStart(3)}  ${((100 * row.right) / row.asked).toFixed(0)} %`);
}
console.log(`all              ${right} / ${chosen.length}  ${((100 * right) / chosen.length).toFixed(1)} %`);
console.log(`${(generated / seconds).toFixed(0)} tokens/s at 1 thread, prompt included`);
if (values.json !== undefined) {
  writeFileSync(values.json, JSON.stringify({ asked: chosen.length, right, categories: Object.fromEntries(table) }, null, 2));
}
await llama.dispose();
