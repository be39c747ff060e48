// Prints one file of spec/vectors: `node tools/make-vectors.ts receipt|policy|verdict`. They are frozen: run it to see that
// it still prints the same, not to change them.
import {
  CountersignError,
  commit,
  fromHex,
  fromUtf8,
  masksOf,
  parsePolicy,
  printPolicy,
  type Receipt,
  utf8,
} from "@countersign/core";
import { type Delivered, verify } from "@countersign/verify";
import { answer, answerBody, body, makeReceipt, now, trust } from "../test/fixtures/receipt.ts";

type Case = {
  readonly name: string;
  readonly contents: Readonly<Record<string, { readonly utf8: string } | { readonly list: readonly string[] }>>;
};
const cases: readonly Case[] = [
  {
    name: "two plain fields, the others absent (the reference's vector)",
    contents: { rawRequest: { utf8: '{"model":"m","messages":[]}' }, output: { utf8: "yes" } },
  },
  { name: "nothing at all", contents: {} },
  {
    name: "lists of none, one and three elements beside an empty value",
    contents: {
      tools: { list: [] },
      messages: { list: ["one"] },
      output: { list: ["a", "", "é😀"] },
      system: { utf8: "" },
    },
  },
];
const receiptSecret = "11".repeat(32);
const receipts = () =>
  cases.map(({ name, contents }) => {
    const given = Object.fromEntries(
      Object.entries(contents).map(([f, c]) => [f, "utf8" in c ? utf8(c.utf8) : c.list.map(utf8)]),
    );
    const { leaves, roots } = commit(given, () => fromHex(receiptSecret));
    return { name, receiptSecret, contents, leaves, ...roots };
  });

const texts = [
  "signature",
  "origin",
  "reexecution",
  "tee",
  "zkml",
  "logged",
  "audit",
  "tee & signature",
  "zkml | signature",
  "execution:proof & prompt:signature",
  "execution:hardware(tcb=up-to-date, custody=named-datacentre)",
  "issuer & (payment | logged) & issuer",
  "((zkml))",
  "execution:reexecution(n=3,confidence=0.95) | tee & logged",
  "",
  "zk",
  "ZKML",
  "tee &",
  "execution",
  "execution:magic",
  "colour:signature",
  "execution:proof(colour=red)",
  "execution:proof(n=1,n=2)",
  "constructor",
];

const policies = () =>
  texts.map((text) => {
    try {
      const policy = parsePolicy(text);
      return { text, canonical: printPolicy(policy), masks: masksOf(policy) };
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      return { text, error: error.code };
    }
  });

/** What a verifier must find: enough to compare another implementation with ours. */
function verdicts() {
  const honest = makeReceipt();
  const other = { ...answer, content: "Lyon" } as typeof answer;
  const weaker = makeReceipt({ guarantee: "execution:proof & issuer:signature", bought: "issuer:signature" });
  type Given = {
    readonly receipt: Receipt;
    readonly delivered?: Delivered;
    readonly policy?: string;
    readonly allowDevelopment?: boolean;
  };
  const given: Readonly<Record<string, Given>> = {
    "honest, everything in hand": { receipt: honest.receipt, delivered: honest.delivered },
    "honest, the audit preset": { receipt: honest.receipt, delivered: honest.delivered, policy: "audit" },
    "honest, development not allowed": {
      receipt: honest.receipt,
      delivered: honest.delivered,
      allowDevelopment: false,
    },
    "honest, a level that nothing grounds": { receipt: honest.receipt, delivered: honest.delivered, policy: "zkml" },
    "handed on without secret and content": { receipt: { ...honest.receipt, holder: null } },
    "the answer altered": {
      receipt: honest.receipt,
      delivered: { ...honest.delivered, output: { body: answerBody(other) } },
    },
    "the request altered": {
      receipt: honest.receipt,
      delivered: {
        ...honest.delivered,
        request: { ...honest.delivered.request, body: utf8(fromUtf8(body).replace("France", "Spain")) },
      },
    },
    "less in the receipt than was bought": { receipt: weaker.receipt, delivered: weaker.delivered },
    "no snapshot attached": { receipt: { ...honest.receipt, snapshots: [] }, delivered: honest.delivered },
    "no proof of inclusion": {
      receipt: { ...honest.receipt, inclusion: [], snapshots: [] },
      delivered: honest.delivered,
      policy: "logged",
    },
  };
  const at = now + 5000;
  const list = Object.entries(given).map(([name, { receipt, delivered = {}, policy, allowDevelopment = true }]) => {
    const verdict = verify({ receipt, delivered, policy, trust, at, allowDevelopment });
    const { request, output, clientNonce } = delivered;
    return {
      name,
      receipt,
      delivered: {
        ...(request && { request: { ...request, body: fromUtf8(request.body) } }),
        ...(output && "body" in output && { output: fromUtf8(output.body) }),
        ...(clientNonce !== undefined && { clientNonce }),
      },
      ...(policy !== undefined && { policy }),
      allowDevelopment,
      expect: {
        outcome: verdict.outcome,
        final: verdict.final,
        judged: verdict.policy.judged,
        findings: verdict.findings.map((f) => [f.claim, f.ground, f.status]),
        failed: verdict.checks.flatMap((c) => (c.status === "failed" ? [[c.id, c.code]] : [])),
      },
    };
  });
  return { trust, at, verdicts: list };
}

const files = { receipt: receipts, policy: policies, verdict: verdicts };
const [asked = ""] = process.argv.slice(2);
if (!Object.hasOwn(files, asked)) throw new Error(`Name one of ${Object.keys(files).join(", ")}.`);
console.log(JSON.stringify(files[asked as keyof typeof files](), null, 2));
