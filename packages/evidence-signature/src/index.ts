export { checkSignature } from "./check.ts";
export { type KeyStanding, standingOfKey } from "./keys.ts";
export { makeSignature } from "./make.ts";
