import * as z from "zod";
import { canonicalBytes } from "../canonical.ts";
import { type Claim, claims, type Ground, grounds } from "../claim.ts";
import { CountersignError } from "../errors/error.ts";
import { refuseConflict, tighten, tightenRelease } from "./combine.ts";
import { type Demand, factNames, type Policy, type Release, releases } from "./policy.ts";
import { levels } from "./preset.ts";
import { normalise, parsePolicy, printPolicy } from "./text.ts";

const factsShape = z.partialRecord(
  z.enum(factNames as [string, ...string[]]),
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
);
const treeShape: z.ZodType<Policy> = z.lazy(() =>
  z.union([
    z.strictObject({ all: z.array(treeShape).min(1).max(64) }),
    z.strictObject({ any: z.array(treeShape).min(1).max(64) }),
    z.strictObject({
      claim: z.enum(claims) as z.ZodType<Claim>,
      ground: z.enum(grounds) as z.ZodType<Ground>,
      facts: factsShape.default({}) as z.ZodType<Readonly<Record<string, string>>>,
    }),
  ]),
) as z.ZodType<Policy>;

/** The `verification` object of a request body. */
const verificationShape = z.strictObject({
  /** Policy text or tree. */
  require: z.union([z.string(), treeShape]).optional(),
  release: z.enum(releases as [Release, ...Release[]]).optional(),
  /** Unix second by which late evidence must be logged. */
  deadline: z.number().int().positive().max(253_402_300_799).optional(),
});

/** Where a request may say its policy. */
export type DemandSources = {
  /** The `verification` member of the body, as parsed. */
  readonly body?: unknown;
  /** Every `X-Verification` header: `signature & logged; release=live; deadline=1790000000`. */
  readonly headers?: readonly string[];
  /** The part after the colon of `model:level`. */
  readonly suffix?: string | undefined;
};

type Part = {
  readonly policy?: Policy | undefined;
  readonly release?: Release | undefined;
  readonly deadline?: number | undefined;
};

function fromBody(value: unknown): Part {
  const parsed = verificationShape.safeParse(typeof value === "string" ? { require: value } : value);
  if (parsed.success) {
    const { require, release, deadline } = parsed.data;
    const policy =
      require === undefined ? undefined : typeof require === "string" ? parsePolicy(require) : normalise(require);
    return { policy, release, deadline };
  }
  const unknown = parsed.error.issues.find((i) => i.code === "unrecognized_keys");
  throw new CountersignError(unknown ? "POLICY_FIELD_UNKNOWN" : "POLICY_MALFORMED", {
    message: unknown
      ? `The verification object has an unknown field: ${unknown.keys.join(", ")}.`
      : "The verification object cannot be read.",
    why: z.prettifyError(parsed.error).split("\n").slice(0, 3).join(" "),
    remedy: "Its fields are require (text or tree), release (met, signed or live) and deadline (unix seconds).",
    param: "verification",
    cause: parsed.error,
  });
}

function fromHeader(text: string): Part {
  const [policy = "", ...options] = text.split(";").map((t) => t.trim());
  const object: Record<string, unknown> = policy === "" ? {} : { require: policy };
  for (const option of options) {
    const [, key = "", value = ""] = /^\s*(release|deadline|require)\s*=\s*([^=]*?)\s*$/.exec(option) ?? [];
    if (key === "") {
      throw new CountersignError("POLICY_FIELD_UNKNOWN", {
        message: `X-Verification has an option that is not known: ${JSON.stringify(option.slice(0, 80))}.`,
        remedy: "Its options are release=met|signed|live and deadline=<unix seconds>.",
        param: "X-Verification",
      });
    }
    if (Object.hasOwn(object, key)) {
      throw new CountersignError("POLICY_MALFORMED", {
        message: `X-Verification says ${key} twice.`,
        param: "X-Verification",
      });
    }
    object[key] = key === "deadline" ? Number(value) : value;
  }
  return fromBody(object);
}

function fromSuffix(suffix: string): Part {
  if ((levels as readonly string[]).includes(suffix)) return { policy: parsePolicy(suffix) };
  throw new CountersignError("LEVEL_UNKNOWN", {
    message: `"${suffix}" after the model's name is not a level.`,
    remedy: `The levels are ${levels.join(", ")}. Longer policies go into the verification object or the X-Verification header.`,
    param: "model",
  });
}

/**
 * The demand of a request: the conjunction of all its sources, or the published default (spec/policy.md §4, §5).
 *
 * @throws POLICY_MALFORMED, POLICY_FIELD_UNKNOWN, POLICY_CONFLICT, LEVEL_UNKNOWN, DEADLINE_PASSED
 */
export function readDemand(sources: DemandSources, fallback: Policy, now: number): Demand {
  const parts: Part[] = (sources.headers ?? []).map(fromHeader);
  if (sources.body !== undefined) parts.push(fromBody(sources.body));
  if (sources.suffix !== undefined) parts.push(fromSuffix(sources.suffix));
  const said = parts.flatMap((p) => p.policy ?? []);
  const rules = parts.flatMap((p) => p.release ?? []);
  const deadlines = parts.flatMap((p) => p.deadline ?? []);
  const policy = tighten(...(said.length > 0 ? said : [fallback]));
  refuseConflict(policy);
  const deadline = deadlines.length > 0 ? Math.min(...deadlines) : null;
  if (deadline !== null && deadline <= now) {
    throw new CountersignError("DEADLINE_PASSED", {
      message: "The deadline for evidence lies in the past.",
      param: "verification.deadline",
    });
  }
  return {
    policy,
    release: rules.length > 0 ? tightenRelease(...rules) : "met",
    deadline,
    source: said.length > 0 ? "request" : "default",
  };
}

/** Canonical bytes of a demand: what `requestDigest` covers and leaf `policy` holds. */
export function demandBytes(demand: Demand): Uint8Array {
  return canonicalBytes({
    require: printPolicy(demand.policy),
    release: demand.release,
    deadline: demand.deadline,
    source: demand.source,
  });
}
