import type { Hex } from "@countersign/core";

/** What the caller has in hand beside the receipt: without it `prompt` and `output` stay closed (A1). */
export type Delivered = {
  /** The request as it was sent. `path` without query. */
  readonly request?: { readonly method: string; readonly path: string; readonly body: Uint8Array } | undefined;
  /** The answer: the JSON body or event stream as delivered, or the plain text of the first choice. */
  readonly output?: { readonly body: Uint8Array } | { readonly text: string } | undefined;
  /** The sealed body as it was sent, where the request travelled sealed; `request` is then what it holds. */
  readonly sealed?: { readonly body: Uint8Array } | undefined;
  /** The nonce that the client drew. */
  readonly clientNonce?: Hex | undefined;
};
