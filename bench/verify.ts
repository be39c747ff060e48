// Offline verification on one core against the bare Ed25519 and SHA-256 that it cannot do without (spec/claims.md).
import { createPublicKey, hash, type KeyObject, verify as verifyBare } from "node:crypto";
import {
  fromBase64,
  fromBase64Url,
  fromHex,
  openFields,
  preAuthentication,
  type Receipt,
  readSnapshot,
  recoverAddress,
  type Suite,
  sha256,
  signSnapshot,
  type Trust,
  toHex,
  utf8,
  type Verdict,
} from "../packages/core/src/index.ts";
import { nodeSuite } from "../packages/core/src/node.ts";
import {
  cosign,
  formatCheckpoint,
  formatNote,
  formatTlogProof,
  hashLeaf,
  hashNode,
  mergeNotes,
  parseCheckpoint,
  parseNote,
  parseTlogProof,
  signNote,
} from "../packages/log/src/index.ts";
import { type VerifyArgs, verify } from "../packages/verify/src/index.ts";
import { body, keys, makeReceipt, now, payFor, trust } from "../test/fixtures/receipt.ts";
import { costs } from "./harness/cpu.ts";
import { type Row, row } from "./harness/row.ts";

/** Receipts of different requests in one log, so that nothing about one of them was seen with another but what is shared. */
const count = 1024;
const at = now + 60_000;
const registered: Trust = { ...trust, snapshotMaxAge: 600 };
const named: Trust = { ...trust, nodes: [{ name: "node", key: toHex(keys.node.publicKey) }] };

type Made = Pick<ReturnType<typeof makeReceipt>, "receipt" | "delivered">;

function makeReceipts(): readonly Made[] {
  return Array.from({ length: count }, (_, i) => {
    const text = new TextDecoder().decode(body).replace("Capital of France?", `Capital of France, asked ${i} times?`);
    const { receipt, delivered } = makeReceipt({ body: utf8(text) });
    return { receipt, delivered };
  });
}

/** The same receipts in one log under one checkpoint, with one snapshot of it: what a wallet of receipts looks like. */
function shareLog(made: readonly Made[]): readonly Made[] {
  const levels = [made.map(({ receipt }) => hashLeaf(fromBase64Url(receipt.inclusion[0]?.entry as string)))];
  for (let below = levels[0] as Uint8Array[]; below.length > 1; below = levels.at(-1) as Uint8Array[])
    levels.push(below.flatMap((left, i) => (i % 2 === 0 ? [hashNode(left, below[i + 1] as Uint8Array)] : [])));
  const root = levels.at(-1)?.[0] as Uint8Array;
  const { receipt: first } = made[0] as Made;
  const { inclusion, snapshots } = first;
  const { origin } = parseCheckpoint(parseNote(parseTlogProof(inclusion[0]?.proof as string).checkpoint).text);
  const text = formatCheckpoint({ origin, size: count, root });
  const cosigned = (["one", "two"] as const).map((name, i) =>
    formatNote({
      text,
      signatures: [
        cosign(text, now / 1000 + 1, { name: `witness.test/${name}`, signer: i === 0 ? keys.witness : keys.witness2 }),
      ],
    }),
  );
  const checkpoint = cosigned.reduce(
    (a, b) => formatNote(mergeNotes(parseNote(a), parseNote(b))),
    signNote(text, { name: origin, signer: keys.log }),
  );
  const { predicate } = readSnapshot(snapshots[0]?.envelope);
  const envelope = signSnapshot(toHex(root), { ...predicate, size: count }, keys.monitor);
  return made.map(({ receipt, delivered }, index) => ({
    delivered,
    receipt: {
      ...receipt,
      inclusion: receipt.inclusion.map(({ entry }) => ({
        entry,
        proof: formatTlogProof({
          index,
          path: levels.slice(0, -1).map((level, depth) => level[(index >> depth) ^ 1] as Uint8Array),
          checkpoint,
        }),
      })),
      snapshots: receipt.snapshots.map(({ proofs }) => ({ envelope, proofs })),
    },
  }));
}

const bareReceipt = (receipt: Receipt): Receipt => ({
  ...receipt,
  offer: null,
  delivery: null,
  keys: [],
  inclusion: [],
  snapshots: [],
});

const withoutPayment = (receipt: Receipt): Receipt => ({
  ...receipt,
  openings: receipt.openings.filter(({ path }) => path !== "payment"),
});

const spki = fromHex("302a300506032b6570032100");
const keyObject = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from([...spki, ...raw]), format: "der", type: "spki" });

/** One signature with everything ready for node:crypto. */
type Signed = { readonly message: Uint8Array; readonly signature: Uint8Array; readonly key: KeyObject };

/** What one verification asks of Ed25519, written down by a suite that looks on: each different check once. */
function signaturesOf(args: VerifyArgs): readonly Signed[] {
  const seen = new Map<string, Signed>();
  const onlooker: Suite = {
    ...nodeSuite,
    verifyEd25519: (signature, message, publicKey) => {
      const key = toHex(publicKey);
      seen.set(`${toHex(signature)} ${toHex(sha256(message))} ${key}`, {
        message,
        signature,
        key: keyObject(publicKey),
      });
      return nodeSuite.verifyEd25519(signature, message, publicKey);
    },
  };
  verify({ ...args, suite: onlooker });
  return [...seen.values()];
}

/** The byte strings that a statement's check must hash: opened leaves, their tree, the envelope's identity. */
function hashedBytes({ receipt, delivered }: Made): readonly Uint8Array[] {
  const head = 1 + "countersign/field/v1".length + 1 + 32 + 5;
  const opened = openFields(receipt);
  const leaf = (path: string, length: number) => new Uint8Array(head + path.length + length);
  const envelope = preAuthentication(receipt.statement.payloadType, fromBase64(receipt.statement.payload));
  return [
    ...[...opened.fields].map(([path, v]) => leaf(path, v.kind === "bytes" ? v.bytes.length : 40)),
    ...[...opened.elements].map(([path, bytes]) => leaf(path, bytes.length)),
    ...Array.from({ length: 15 }, () => new Uint8Array(65)),
    ...(delivered.request ? [delivered.request.body, delivered.request.body] : []),
    envelope,
  ];
}

type Case = { readonly args: readonly VerifyArgs[]; readonly bytes: readonly Uint8Array[] };

const caseOf = (made: readonly Made[], of: Trust, change = (r: Receipt) => r): Case => {
  const args = made.map(({ receipt, delivered }) => ({
    receipt: change(receipt),
    delivered,
    trust: of,
    at,
    allowDevelopment: true,
  }));
  const first = made[0] as Made;
  return { args, bytes: hashedBytes({ ...first, receipt: change(first.receipt) }) };
};

function requireMet({ outcome, summary }: Verdict): void {
  if (outcome !== "met") throw new Error(`An honest receipt was not met: ${summary}`);
}

/** Verifications of one receipt after the other; `seen` says whether earlier ones may have been remembered. */
function verifying({ args }: Case, seen: boolean): () => void {
  let next = 0;
  return () => {
    const one = args[next++ % args.length] as VerifyArgs;
    verify({ ...one, suite: seen ? nodeSuite : { ...nodeSuite } });
  };
}

const identify = ({ signature }: Signed): string => toHex(signature);

const bare = (signed: readonly Signed[], bytes: readonly Uint8Array[]) => () => {
  for (const { message, signature, key } of signed) verifyBare(null, message, key, signature);
  for (const part of bytes) hash("sha256", part, "buffer");
};

/** Verifications a second of one core. */
export async function bench(): Promise<Row[]> {
  const alone = makeReceipts();
  const shared = shareLog(alone);
  const closed = caseOf(
    alone.map(({ receipt }) => ({ receipt: { ...receipt, openings: [], holder: null }, delivered: {} })) as never,
    named,
    bareReceipt,
  );
  const statement = caseOf(alone, named, bareReceipt);
  const full = caseOf(shared, registered);
  const unpaid = caseOf(shared, registered, withoutPayment);
  for (const one of [statement, full, unpaid]) requireMet(verify({ ...(one.args[0] as VerifyArgs), suite: nodeSuite }));
  const signed = {
    closed: signaturesOf(closed.args[0] as VerifyArgs),
    statement: signaturesOf(statement.args[0] as VerifyArgs),
    full: signaturesOf(full.args[0] as VerifyArgs),
  };
  // Statement, offer and countersignature are of this receipt alone; all other signatures recur in a wallet of receipts.
  const second = signaturesOf(full.args[1] as VerifyArgs).map(identify);
  const own = signed.full.filter((s) => !second.includes(identify(s)));
  const payment = payFor(makeReceipt().offer, "ab".repeat(32));
  const digest = sha256(utf8("payment"));
  const time = costs({
    closed: verifying(closed, false),
    closedBare: bare(signed.closed, closed.bytes),
    statement: verifying(statement, false),
    statementBare: bare(signed.statement, statement.bytes),
    unpaid: verifying(unpaid, false),
    unpaidAgain: verifying(unpaid, true),
    full: verifying(full, false),
    fullAgain: verifying(full, true),
    all: bare(signed.full, full.bytes),
    own: bare(own, full.bytes),
    payer: () => recoverAddress(digest, payment.signature),
  });
  const rate = (us: number) => 1e6 / us;
  const line = (name: string, value: number, least: number): Row =>
    row(name, [rate(value), "1/CPU-s", rate(least)], rate(1.5 * least), value <= 1.5 * least);
  return [
    line("verify, statement alone", time.closed, time.closedBare),
    line("verify, statement with its content", time.statement, time.statementBare),
    line(`verify, whole receipt, payment closed, ${signed.full.length} signatures`, time.unpaid, time.all),
    line(`verify, whole receipt, payment closed, ${own.length} new signatures`, time.unpaidAgain, time.own),
    line(`verify, whole receipt, payment open, ${signed.full.length} signatures`, time.full, time.all),
    line(`verify, whole receipt, payment open, ${own.length} new signatures`, time.fullAgain, time.own),
    line("payer's address in plain JavaScript", time.payer, time.closedBare),
  ];
}
