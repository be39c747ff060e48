import {
  type Check,
  deriveSeed,
  type Finding,
  fromHex,
  type Opened,
  type Param,
  type ProfileLeaf,
  parseCanonical,
  profileLeafShape,
  type Statement,
  toHex,
} from "@countersign/core";
import type { Delivered } from "./delivered.ts";
import { find, notRun, ran } from "./findings.ts";

const id = "sampling.seed";
const title = "Nobody but the client could choose the random draw";

/** Whether the draw was fixed before the run: no draw at all, the client's seed, or one derived from his nonce (A4). */
export function checkSampling(args: {
  readonly statement: Statement;
  readonly opened: Opened;
  readonly delivered: Delivered;
  /** Whether the operator's word stands. */
  readonly word: boolean;
  /** Whether the committed request is the caller's, so that a seed in it is his. */
  readonly requestIsSame: boolean;
  readonly development: boolean;
}): { readonly check: Check; readonly finding: Finding } {
  const { statement, opened } = args;
  const conclude = (status: "proven" | "unproven", reason: string, failed = false) => ({
    check:
      status === "proven"
        ? ran(id, title, true, reason, "REPLAY_INPUT_MISSING")
        : failed
          ? ran(id, title, false, reason, "EXECUTION_PROFILE_MISMATCH")
          : notRun(id, title, reason),
    finding: find("sampling", "signature", status, reason, args.development),
  });
  if (!args.word) return conclude("unproven", "The operator's word does not stand.");
  const leaf = opened.fields.get("profile");
  if (leaf?.kind !== "bytes") return conclude("unproven", "The execution profile is closed.");
  let profile: ProfileLeaf;
  try {
    profile = profileLeafShape.parse(parseCanonical(leaf.bytes));
  } catch {
    return conclude("unproven", "The execution profile cannot be read.", true);
  }
  if (statement.scope === "origin") return conclude("unproven", "Another host drew; it recorded nothing.");
  if (profile.seeds.length === 0) {
    return profile.sampler.kind === "greedy" || profile.sampler.kind === "none"
      ? conclude("proven", "Nothing was drawn: the engine took the most likely token, or draws nothing.")
      : conclude("unproven", "The profile names no seed for a run that draws.", true);
  }
  const params = opened.fields.get("params");
  const effective =
    params?.kind === "bytes" ? (parseCanonical(params.bytes) as Readonly<Record<string, Param>>) : undefined;
  const asked = effective?.seed;
  if (typeof asked === "number") {
    const fits = profile.seeds.every((seed, i) => seed === (asked + i) % 2 ** 32);
    if (!fits) return conclude("unproven", "The seeds are not those that the parameters name.", true);
    return args.requestIsSame
      ? conclude("proven", "The seeds are the client's.")
      : conclude("unproven", "The request is closed, so the seed was not shown to be the client's.");
  }
  const nonce = opened.fields.get("clientNonce");
  if (nonce?.kind !== "bytes") return conclude("unproven", "The client nonce is closed.");
  if (statement.nonceSource !== "client" || args.delivered.clientNonce !== toHex(nonce.bytes)) {
    return conclude("unproven", "The nonce was not shown to be the client's, so whoever drew it may have drawn again.");
  }
  const digest = fromHex(statement.requestDigest);
  const derived = profile.seeds.every((seed, i) => seed === deriveSeed(nonce.bytes, digest, i));
  return derived
    ? conclude("proven", "The seeds follow from the client's nonce and the request.")
    : conclude("unproven", "The seeds do not follow from the client's nonce.", true);
}
