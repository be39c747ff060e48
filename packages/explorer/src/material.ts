import { endpoints, eventData, isObject, parseJson } from "@countersign/core";

/** What somebody dropped or pasted, recognised by its content and never by its file name. */
export type Material =
  | { readonly kind: "receipt"; readonly receipt: unknown }
  /** An answer as delivered, JSON body or event stream, with the receipt that came in it. */
  | { readonly kind: "answer"; readonly receipt: unknown; readonly body: Uint8Array }
  | { readonly kind: "trust"; readonly text: string }
  | { readonly kind: "request"; readonly body: Uint8Array }
  | { readonly kind: "other" };

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** The receipt inside an answer's body, last stream chunk or `GET /v1/receipts/:id`. */
function receiptIn(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  const inner = isObject(value.countersign) ? value.countersign : value;
  if (isObject(inner.receipt)) return inner.receipt;
  return isObject(value.response) ? receiptIn(value.response) : undefined;
}

function receiptInStream(text: string): unknown {
  if (!/^(?::|data:|event:)/m.test(text)) return undefined;
  return eventData(text).reduce<unknown>((found, data) => receiptIn(parse(data)) ?? found, undefined);
}

/** Recognises bytes. Nothing here is a check: `verify` reads the same bytes again, strictly. */
export function recognise(body: Uint8Array): Material {
  const text = new TextDecoder().decode(body);
  const value = parse(text);
  if (value === undefined) {
    const receipt = receiptInStream(text);
    return receipt === undefined ? { kind: "other" } : { kind: "answer", receipt, body };
  }
  if (!isObject(value)) return { kind: "other" };
  if (value.format === "countersign/trust/v1") return { kind: "trust", text };
  if (typeof value.format === "string" && value.format.startsWith("countersign/receipt/"))
    return { kind: "receipt", receipt: text };
  const receipt = receiptIn(value);
  if (receipt !== undefined)
    return isObject(value.countersign) ? { kind: "answer", receipt, body } : { kind: "receipt", receipt };
  const contents = new Set(Object.values(endpoints).map(({ content }) => content as string));
  if (typeof value.model === "string" && Object.keys(value).some((name) => contents.has(name)))
    return { kind: "request", body };
  return { kind: "other" };
}
