import type { Check, Claim, Field, Finding, Ground, Verdict } from "@countersign/core";

/** What each claim answers, in a reader's words. */
export const claimWords: Readonly<Record<Claim, { readonly title: string; readonly question: string }>> = {
  issuer: { title: "Issuer", question: "Who signed this?" },
  request: { title: "Request", question: "Is it about the request that was sent?" },
  prompt: { title: "Prompt", question: "What did the model see?" },
  model: { title: "Model", question: "Which model is named?" },
  execution: { title: "Execution", question: "Did that model really compute it?" },
  output: { title: "Output", question: "Is this the answer it gave?" },
  origin: { title: "Origin", question: "Which host returned these bytes?" },
  sampling: { title: "Sampling", question: "Could the answer have been re-rolled?" },
  payment: { title: "Payment", question: "What was it paid for?" },
  logged: { title: "Logged", question: "Is it in a public, witnessed log?" },
  confidential: { title: "Confidential", question: "Could the operator read it?" },
  linked: { title: "Linked", question: "Do several runs follow from each other?" },
};

/** On whose word or on what a finding stands. */
export const groundWords: Readonly<Record<Ground, { readonly title: string; readonly believe: string }>> = {
  signature: { title: "signature", believe: "you believe the operator" },
  reexecution: { title: "re-execution", believe: "you believe that auditors and node don't collude" },
  sampled: { title: "sampled", believe: "a statement about many runs, not this one" },
  hardware: { title: "hardware", believe: "you believe the hardware vendor" },
  proof: { title: "proof", believe: "you believe mathematics" },
  log: { title: "log", believe: "you believe the witnesses" },
};

export const statusWords: Readonly<Record<Finding["status"], string>> = {
  proven: "Proven",
  refuted: "Refuted",
  unproven: "Not proven",
};
export const checkWords: Readonly<Record<Check["status"], string>> = {
  passed: "Passed",
  failed: "Failed",
  "not-run": "Not run",
};

export const outcomeWords: Readonly<Record<Verdict["outcome"], { readonly title: string; readonly means: string }>> = {
  met: { title: "Met", means: "Every demand of the policy is proven on a ground that you accept." },
  unmet: { title: "Unmet", means: "At least one demand isn't proven. Don't act on this answer as if it were." },
  pending: { title: "Pending", means: "Not proven yet; evidence may still arrive. Until then it counts as unmet." },
  refuted: { title: "Refuted", means: "Something here contradicts itself or the evidence. Don't rely on this answer." },
};

export const unmetWords = {
  promised: "If it is unmet, the charge is only promised to be dropped: nothing enforces it.",
  bonded: "If it is unmet, the gateway's bond pays you back.",
  escrow: "If it is unmet, the escrow pays you back.",
} as const;

/** What each committed field holds. */
export const fieldWords: Readonly<Record<Field, string>> = {
  rawRequest: "Request as sent, byte for byte",
  forwarded: "Request as passed on",
  modelInput: "What the model read (tokens)",
  system: "System prompt",
  messages: "Messages",
  tools: "Tools",
  params: "Parameters in effect",
  clientNonce: "Client nonce",
  policy: "Demanded policy",
  offer: "Accepted offer",
  payment: "Payment",
  promptVersion: "Registered prompt version",
  model: "Model and deployment",
  profile: "Execution profile",
  output: "Answer",
  result: "Usage and timing",
};

/** Bits of a mask by name, weakest first (core `levelBits`, `originBit`). */
const bits: readonly (readonly [number, string])[] = [
  [16, "origin"],
  [1, "signature"],
  [32, "sampled"],
  [2, "re-execution"],
  [4, "hardware"],
  [8, "proof"],
  [64, "log"],
];

/** Names of a mask's bits; what has no name is shown as a number rather than left out. */
export function maskNames(mask: number): readonly string[] {
  const known = bits.filter(([bit]) => (mask & bit) !== 0).map(([, name]) => name);
  const rest = mask & ~bits.reduce((all, [bit]) => all | bit, 0);
  return rest === 0 ? known : [...known, `bits ${rest}`];
}
