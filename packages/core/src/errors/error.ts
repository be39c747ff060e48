import { type ErrorCode, errorTable } from "./table.ts";

const marker = Symbol.for("countersign.error");

/** What a `CountersignError` is made of: what happened, why, and what to do. */
export type ErrorDetail = {
  /** What happened, one sentence. */
  readonly message: string;
  /** Why it is so. */
  readonly why?: string | undefined;
  /** What the reader can do. */
  readonly remedy?: string | undefined;
  /** The request parameter at fault, as OpenAI's error envelope names it. */
  readonly param?: string | undefined;
  /** Facts for programs: JSON values only. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
};

/** The one error of this project: a closed `code`, a message in paragraphs, and its page under docs/errors. */
export class CountersignError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, detail: ErrorDetail) {
    const lines = [detail.message];
    if (detail.why) lines.push(`Why: ${detail.why}`);
    if (detail.remedy) lines.push(`What to do: ${detail.remedy}`);
    lines.push(`Code: ${code} (docs/errors/${code}.md)`);
    super(lines.join("\n"), detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "CountersignError";
    this.code = code;
    this.detail = detail;
    Object.defineProperty(this, marker, { value: true });
  }

  /** HTTP status of the code. */
  get status(): number {
    return errorTable[this.code].http;
  }

  /** Exit status of the command line for the code. */
  get exit(): number {
    return errorTable[this.code].exit;
  }

  /** Whether a value is a CountersignError, also one from another copy of this package; with `code`, whether it has it. */
  static is(value: unknown, code?: ErrorCode): value is CountersignError {
    return (
      typeof value === "object" &&
      value !== null &&
      (value as Record<symbol, unknown>)[marker] === true &&
      (code === undefined || (value as CountersignError).code === code)
    );
  }
}

/** OpenAI's error envelope for any thrown value; what is not ours becomes INTERNAL and tells nothing of its inside. */
export function toEnvelope(error: unknown): {
  readonly status: number;
  readonly body: {
    readonly error: {
      readonly message: string;
      readonly type: string;
      readonly param: string | null;
      readonly code: ErrorCode;
      readonly facts?: Readonly<Record<string, unknown>>;
    };
  };
} {
  const known = CountersignError.is(error)
    ? error
    : new CountersignError("INTERNAL", { message: "The server failed in a way it does not know.", cause: error });
  const { http, type } = errorTable[known.code];
  const { param, facts } = known.detail;
  return {
    status: http,
    body: { error: { message: known.message, type, param: param ?? null, code: known.code, ...(facts && { facts }) } },
  };
}
