import { envelopeShape, type Hex, type ReceiptSnapshot } from "@countersign/core";
import * as z from "zod";

/** Where signed snapshots come from: absence of a refutation needs a witness (protocol-review A2). */
export type Monitors = {
  readonly urls: readonly string[];
  /** Snapshots about one receipt and the keys that signed it; those that could not be had are left out. */
  readonly search: (receiptRoot: Hex, keys: readonly Hex[]) => Promise<readonly ReceiptSnapshot[]>;
};

const proof = z.string().max(16_384);
const answerShape = z.looseObject({
  envelope: envelopeShape,
  proofs: z.strictObject({ refuted: proof, revoked: z.array(proof).max(16), evidence: proof }),
});

/** Asks the auditors; what they say is checked by whoever verifies the receipt, so nothing is checked here but the form. */
export function openMonitors(options: {
  readonly urls: readonly string[];
  readonly fetch?: typeof fetch;
  /** Milliseconds for one answer, 2,000 by default. */
  readonly timeout?: number;
  readonly onFault?: (error: unknown) => void;
}): Monitors {
  const get = options.fetch ?? fetch;
  const ask = async (base: string, receiptRoot: Hex, keys: readonly Hex[]): Promise<ReceiptSnapshot[]> => {
    try {
      const url = new URL("/snapshot", base);
      url.searchParams.set("root", receiptRoot);
      url.searchParams.set("keys", keys.join(","));
      const response = await get(url, { signal: AbortSignal.timeout(options.timeout ?? 2000) });
      if (!response.ok) throw new Error(`The monitor at ${base} answered ${response.status}.`);
      const { envelope, proofs } = answerShape.parse(await response.json());
      return [{ envelope, proofs }];
    } catch (error) {
      options.onFault?.(error);
      return [];
    }
  };
  return {
    urls: options.urls,
    search: async (receiptRoot, keys) =>
      (await Promise.all(options.urls.map((url) => ask(url, receiptRoot, keys)))).flat(),
  };
}

/**
 * Monitors to whom many who ask for one receipt are one question at a time: hundreds of readers of a receipt turn this
 * gateway into no hammer on its auditors. The answer may be as old as the first of them.
 */
export function shareSearches({ urls, search }: Monitors): Monitors {
  const asking = new Map<string, ReturnType<Monitors["search"]>>();
  return {
    urls,
    search: (receiptRoot, keys) => {
      const question = [receiptRoot, ...keys].join();
      const known = asking.get(question);
      if (known) return known;
      const answer = search(receiptRoot, keys).finally(() => asking.delete(question));
      asking.set(question, answer);
      return answer;
    },
  };
}
