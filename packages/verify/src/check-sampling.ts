import {
  type Check,
  deriveSeed,
  type Finding,
  fromHex,
  type Opened,
  type ParsedRequest,
  profileLeafShape,
  type Statement,
} from "@countersign/core";
import type { Delivered } from "./delivered.ts";
import { find, notRun, ran } from "./findings.ts";
import { readLeaf, readParams } from "./read-leaf.ts";

const id = "sampling.seed";
const title = "Nobody but the client could choose the random draw";

/** Whether the draw was fixed before the run: no draw at all, the client's seed, or one derived from his nonce (A4). */
export function checkSampling(args: {
  readonly statement: Statement;
  readonly opened: Opened;
  /** With the nonce that the caller himself gives: one that stands in the receipt was put there by somebody else. */
  readonly delivered: Delivered;
  /** Whether the operator's word stands. */
  readonly word: boolean;
  /** The request in hand, when it was shown to be the committed one. */
  readonly request: ParsedRequest | undefined;
  readonly development: boolean;
}): { readonly check: Check; readonly finding: Finding } {
  const { statement, opened, request } = args;
  const proven = (reason: string) => ({
    check: ran(id, title, true, reason, "EXECUTION_PROFILE_MISMATCH"),
    finding: find("sampling", "signature", "proven", reason, args.development),
  });
  const unproven = (reason: string) => ({
    check: notRun(id, title, reason),
    finding: find("sampling", "signature", "unproven", reason, args.development),
  });
  const contradicted = (reason: string) => ({
    check: ran(id, title, false, reason, "EXECUTION_PROFILE_MISMATCH"),
    finding: find("sampling", "signature", "unproven", reason, args.development, {
      code: "EXECUTION_PROFILE_MISMATCH",
    }),
  });
  if (!args.word) return unproven("The operator's word does not stand.");
  if (statement.scope === "origin") return unproven("Another host drew; it recorded nothing.");
  const profile = readLeaf(profileLeafShape, opened, "profile");
  if (!profile) return unproven("The execution profile is closed or cannot be read.");
  if (statement.endpoint === "/v1/embeddings" || statement.endpoint === "/v1/infer") {
    return profile.seeds.length === 0
      ? proven("Nothing is drawn at this endpoint.")
      : contradicted("Seeds stand where nothing is drawn.");
  }
  const effective = readParams(opened);
  if (!effective) return unproven("The parameters in effect are closed.");
  if (profile.seeds.length === 0) {
    // A profile that says "greedy" beside a temperature would hide a draw without a seed.
    const cold = effective.temperature === 0 || effective.temperature === null;
    return profile.sampler.kind === "greedy" && cold
      ? proven("Nothing was drawn: the most likely token was taken.")
      : contradicted("The profile names no seed for a run that draws.");
  }
  const list = opened.fields.get("output");
  if (list?.kind !== "list") return unproven("The list of answers is closed, so their seeds cannot be counted.");
  if (profile.seeds.length !== list.leaves.length / 2) return contradicted("There is not one seed for each answer.");
  const asked = request?.params.seed;
  if (typeof asked === "number") {
    const fits = profile.seeds.every((seed, i) => seed === (asked + i) % 2 ** 32);
    return fits
      ? proven("The seeds are the client's.")
      : contradicted("The seeds are not those that the request asks for.");
  }
  // The digest is in the seed: one that was not recomputed could have been tried until the draw pleased.
  if (!request) return unproven("The request was not shown to be the committed one.");
  const mine = args.delivered.clientNonce;
  if (mine === undefined || statement.nonceSource !== "client") {
    return unproven("The nonce was not shown to be the client's, so whoever drew it may have drawn again.");
  }
  const digest = fromHex(statement.requestDigest);
  const nonce = fromHex(mine);
  return profile.seeds.every((seed, i) => seed === deriveSeed(nonce, digest, i))
    ? proven("The seeds follow from the client's nonce and the request.")
    : contradicted("The seeds do not follow from the client's nonce.");
}
