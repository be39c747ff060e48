import { utf8 } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { recognise } from "./material.ts";

const of = (value: unknown) => recognise(utf8(typeof value === "string" ? value : JSON.stringify(value)));
const receipt = { format: "countersign/receipt/v1" };

describe("recognise", () => {
  it("knows a receipt, alone and as the gateway gives it", () => {
    expect(of(receipt)).toMatchObject({ kind: "receipt", receipt: JSON.stringify(receipt) });
    expect(of({ receipt })).toEqual({ kind: "receipt", receipt });
  });

  it("finds the receipt in an answer and keeps the answer's bytes", () => {
    const body = { choices: [], countersign: { receipt } };
    expect(of(body)).toEqual({ kind: "answer", receipt, body: utf8(JSON.stringify(body)) });
    const stream = `: held\n\ndata: {"choices":[]}\n\ndata: ${JSON.stringify(body)}\n\ndata: [DONE]\n\n`;
    expect(of(stream)).toEqual({ kind: "answer", receipt, body: utf8(stream) });
    const responses = { type: "response.completed", response: { countersign: { receipt } } };
    expect(of(`event: response.completed\ndata: ${JSON.stringify(responses)}\n\n`)).toMatchObject({ receipt });
  });

  it("knows a trust file and a request", () => {
    expect(of({ format: "countersign/trust/v1" }).kind).toBe("trust");
    expect(of({ model: "m", messages: [] })).toMatchObject({ kind: "request" });
    expect(of({ model: "m", inputs: {} })).toMatchObject({ kind: "request" });
  });

  it("takes nothing else for one of these", () => {
    for (const text of ["", "hello", "[]", "null", "{", '{"a":1,"a":2}', "data: x\n\n"])
      expect(of(text).kind).toBe("other");
  });
});
