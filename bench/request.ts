// Taking a request apart, with one reading and the bytes of its parts, against JSON.parse alone (spec/receipt.md §3.2).
import { parseRequest, utf8 } from "../packages/core/src/index.ts";
import { costs } from "./harness/cpu.ts";
import { type Row, row } from "./harness/row.ts";

const size = 4096;

/** A chat of several turns with text as people write it: quotes, line breaks, words of other languages. */
function chatBody(): Uint8Array {
  const messages = [{ role: "system", content: "You answer briefly.\nCite nothing." }];
  const make = () =>
    utf8(JSON.stringify({ model: "pocket", messages, temperature: 0.7, max_tokens: 256, stop: ["\n\n"], seed: 7 }));
  for (let turn = 0; make().length < size - 200; turn++) {
    messages.push({
      role: turn % 2 === 0 ? "user" : "assistant",
      content: `Turn ${turn}: what does "naïveté" mean — and where is it used?\nOne line is enough, please. 谢谢`,
    });
  }
  return make();
}

/** CPU time of `parseRequest` and of decoding and JSON.parse over the same bytes. */
export async function bench(): Promise<Row[]> {
  const body = chatBody();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const { ours, bare } = costs({
    ours: () => parseRequest("/v1/chat/completions", body),
    bare: () => JSON.parse(decoder.decode(body)),
  });
  const name = `parseRequest, ${(body.length / 1024).toFixed(1)} KiB`;
  return [row(name, [ours, "CPU-us", bare], 4 * bare, ours <= 4 * bare)];
}
