import { CountersignError } from "@countersign/core";
import { type Child, h } from "./dom.ts";

/** What went wrong, why, and what to do. */
export function viewFault(error: unknown): Child {
  if (!CountersignError.is(error)) return h("p", {}, error instanceof Error ? error.message : "Something failed.");
  const { message, why, remedy } = error.detail;
  return [
    h("p", {}, h("strong", {}, message), " ", h("code", { class: "code" }, error.code)),
    why && h("p", { class: "reason" }, why),
    remedy && h("p", { class: "reason" }, remedy),
  ];
}
