import { expect, test } from "vitest";
import { makeDcap, type QuoteForm } from "./dcap.fixture.ts";
import { parseQuote } from "./quote.ts";

const forms: readonly QuoteForm[] = ["tdx-v4", "tdx-v5", "tdx-v5-1.5", "sgx-v3", "sgx-v4", "sgx-v5"];

test.each(forms)("%s: nothing but its padding may be missing", (form) => {
  const { document } = makeDcap({ form, padding: new Uint8Array() });
  expect(parseQuote(document).body.kind).toBe(form.slice(0, 3));
  for (let length = 0; length < document.length; length += 13)
    expect(() => parseQuote(document.subarray(0, length))).toThrow("it ends inside a part");
});

test("the PCK chain may end like a text in C", () => {
  const { document } = makeDcap({ chain: (p) => `${p.pck.pem + p.ca.pem + p.root.pem}\0` });
  expect(parseQuote(document).chain.length).toBe(3);
});
