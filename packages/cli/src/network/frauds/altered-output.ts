import type { JsonObject } from "@countersign/core";
import { attempt, caughtWith, type Play } from "./fraud.ts";
import { openProxy } from "./proxy.ts";
import { stageModels } from "./stage.ts";

const messages: readonly JsonObject[] = [{ role: "user", content: "What is the capital of France?" }];

/** Changes what the answer says, in a JSON body and in the first event of a stream alike. */
export function alterAnswer(body: string): string {
  return body.replace(/"content":"(?=[^"])/, '"content":"Not so: ');
}

const play = (stream: boolean): Play => {
  return async (stage) => {
    let altered = 0;
    const proxy = await openProxy(stage.ground.gatewayUrl, {
      answer: (body) => {
        const after = alterAnswer(body);
        if (after !== body) altered++;
        return after;
      },
    });
    try {
      const client = stage.client(proxy.url);
      const options = { model: stageModels.chat, policy: "signature", synthetic: true } as const;
      let read = "";
      const ended = await attempt(async () => {
        if (!stream) {
          const { text } = await client.chat(messages, options);
          read = text ?? "";
          return;
        }
        for await (const chunk of await client.stream(messages, options)) read += JSON.stringify(chunk);
      });
      const expected = "OUTPUT_MISMATCH";
      const caught = caughtWith(ended, expected);
      return {
        name: stream ? "altered-output-stream" : "altered-output",
        what: `the answer is changed between gateway and client, in ${stream ? "an event stream" : "a JSON body"}`,
        by: "a proxy behind an honest gateway",
        expected,
        caught,
        held: caught === expected && altered === 1 && read === "",
        detail: `The delivered text is not the committed one; characters that the caller could read: ${read.length}. The gateway itself delivered, so it was paid: the loss is whoever let the proxy in.`,
      };
    } finally {
      await proxy.close();
    }
  };
};

/** Somebody on the way changes the answer in a JSON body. */
export const playAlteredOutput: Play = play(false);
/** Somebody on the way changes the answer in an event stream. */
export const playAlteredOutputStream: Play = play(true);
