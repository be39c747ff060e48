import { type JsonObject, parseRequest, utf8 } from "@countersign/core";
import { openColludingGateway } from "./colluding-gateway.ts";
import { attempt, caughtWith, type Play } from "./fraud.ts";
import { openProxy, type Server } from "./proxy.ts";
import { type Stage, stageModels } from "./stage.ts";

const messages: readonly JsonObject[] = [
  { role: "system", content: "Answer in one word." },
  { role: "user", content: "What is the capital of France?" },
];
const rewrite = (body: string) => body.replace("Answer in one word.", "Answer in French.");

const ask = async (stage: Stage, gateway: Server) => {
  const client = stage.client(gateway.url);
  const ended = await attempt(() =>
    client.chat(messages, { model: stageModels.chat, policy: "signature", synthetic: true }),
  );
  return { ended, spending: client.spending() };
};

/** Somebody on the way changes the system prompt before the gateway sees it. */
export const playRewrittenPrompt: Play = async (stage) => {
  const proxy = await openProxy(stage.ground.gatewayUrl, { request: rewrite });
  try {
    const { ended, spending } = await ask(stage, proxy);
    const expected = "REQUEST_MISMATCH";
    const caught = caughtWith(ended, expected);
    const signed = spending.held + spending.spent;
    return {
      name: "rewritten-prompt",
      what: "the system prompt is changed between client and gateway",
      by: "a proxy in front of an honest gateway",
      expected,
      caught,
      held: caught === expected && signed === 0n,
      detail: `The offer was made for another request than the client sent, so nothing was signed: ${signed} set aside.`,
    };
  } finally {
    await proxy.close();
  }
};

/** Gateway and node change it together, after the payment, and sign honest-looking receipts over what they ran. */
export const playRewrittenPromptColluding: Play = async (stage) => {
  const gateway = await openColludingGateway(stage, (checked) => {
    const body = utf8(rewrite(new TextDecoder().decode(Buffer.from(checked.job.body, "base64"))));
    return { ...checked, request: parseRequest(checked.job.path, body) };
  });
  try {
    const { ended, spending } = await ask(stage, gateway);
    const expected = "REQUEST_MISMATCH";
    const caught = caughtWith(ended, expected);
    return {
      name: "rewritten-prompt-colluding",
      what: "gateway and node run another system prompt than was paid for, and sign it",
      by: "a registered gateway and a registered node together",
      expected,
      caught,
      held: caught === expected && ended.status === "refused" && ended.error.code === "ASSURANCE_NOT_MET",
      detail: `Both signatures are genuine, and the committed request is not the client's: refuted before a word could be read. They hold an authorisation over ${spending.held} until it expires: "not charged" is the gateway's promise.`,
    };
  } finally {
    await gateway.close();
  }
};
