// One paid, checked answer, and a receipt to keep. Start the network with `npm start`, then in this folder's checkout:
//   node_modules/.bin/node examples/chat.ts
import { readFileSync, writeFileSync } from "node:fs";
import { countersign, privateKeyWallet } from "@countersign/sdk";
import OpenAI from "openai";

// Whom you believe. `npm start` writes this file for its own network; a real network's comes from somebody you trust.
const trust = JSON.parse(readFileSync("trust.dev.json", "utf8"));
// The test wallet of `npm start`. In production the key stays in a wallet: any object with `address` and `signDigest`.
const { walletKey, gatewayUrl } = JSON.parse(readFileSync(".countersign/local.json", "utf8"));

const client = countersign({
  gateway: gatewayUrl,
  trust,
  allowDevelopment: true, // by name, because this network is a stand-in
  wallet: privateKeyWallet(walletKey),
  budget: { perRequest: 10_000, total: 1_000_000 },
  policy: "signature & logged",
});

const { text, verdict, receipt } = await client.chat([{ role: "user", content: "What is the capital of France?" }], {
  model: "countersign-pocket",
});
console.log(text, "|", verdict.outcome, "|", verdict.receiptRoot);
// What `countersign verify receipt.json` reads. It is your own copy: it can open every field.
writeFileSync("receipt.json", JSON.stringify(receipt), { mode: 0o600 });

// The same through the stock OpenAI client: only `fetch` is ours.
const openai = new OpenAI({ baseURL: `${gatewayUrl}/v1`, apiKey: "unused", fetch: client.fetch });
const stream = await openai.chat.completions.create({
  model: "countersign-pocket",
  messages: [{ role: "user", content: "What is a receipt?" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? "");
console.log();
