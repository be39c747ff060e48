export { lookUp } from "./check-log.ts";
export type { Delivered } from "./delivered.ts";
export { type Judgement, judge } from "./judge.ts";
export { kinds } from "./kinds.ts";
export { completeReceipt, disclose, openByDefault, refreshReceipt } from "./open.ts";
export { type VerifyArgs, verify } from "./verify.ts";
