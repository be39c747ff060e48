import type { CheckId, DocumentArgs, DocumentReport, TeeCode } from "../attestation.ts";
import { checkSgx, checkTdx } from "./check.ts";
import { argsOf, type FixtureEdit, type QuoteForm } from "./dcap.fixture.ts";

/** Checks that concern a quote whose measurement nobody asks for. */
export const required: readonly CheckId[] = [
  "form",
  "algorithm",
  "root",
  "chain",
  "validity",
  "revocation",
  "signature",
  "tcb",
  "debug",
  "attributes",
  "binding",
];
export const check = (form: QuoteForm | undefined, args: DocumentArgs): DocumentReport =>
  form?.startsWith("sgx") ? checkSgx(args) : checkTdx(args);
export const judge = (edit: FixtureEdit, over: Partial<DocumentArgs> = {}) => check(edit.form, argsOf(edit, over));
export const failureOf = (report: DocumentReport) => report.checks.find((c) => c.result === "failed");

export type Refusal = readonly [
  what: string,
  id: CheckId,
  code: TeeCode,
  edit: FixtureEdit,
  over?: Partial<DocumentArgs>,
];
