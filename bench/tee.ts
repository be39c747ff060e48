// Attestation documents on one core: the check against the signature checks in it alone (docs/tee.md). Own documents
// under private roots; genuine ones too where a folder with them lies beside the repository.
import { existsSync, readFileSync } from "node:fs";
import type { Suite } from "../packages/core/src/index.ts";
import { nodeSuite } from "../packages/core/src/node.ts";
import { argsOf } from "../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import {
  type CheckDocument,
  type DocumentArgs,
  formats,
  pinnedRoots,
  rememberVendorSignatures,
} from "../packages/evidence-tee/src/index.ts";
import { makeNitroAuthority } from "../packages/evidence-tee/src/make/nitro-document.ts";
import {
  binding,
  collateralOf,
  judgedAt,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "../packages/evidence-tee/src/snp/snp.fixture.ts";
import { missing, type Row, row } from "./harness/row.ts";

const rounds = 31;
const vectors = new URL("../../shared/vectors/tee/", import.meta.url);

/** CPU milliseconds of one piece of work: the median of the rounds. */
function cost(work: () => void): number {
  for (let i = 0; i < 5; i++) work();
  const times = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return times.toSorted((a, b) => a - b)[rounds >> 1] as number;
}

/** The signature checks of one document, to be made again alone. */
function signaturesOf(check: CheckDocument, args: DocumentArgs): readonly (() => boolean)[] {
  const seen: (() => boolean)[] = [];
  const onlooker: Suite = {
    ...nodeSuite,
    verifyEcdsa(one) {
      seen.push(() => nodeSuite.verifyEcdsa(one));
      return nodeSuite.verifyEcdsa(one);
    },
    verifyRsa(one) {
      seen.push(() => nodeSuite.verifyRsa(one));
      return nodeSuite.verifyRsa(one);
    },
  };
  check({ ...args, suite: onlooker });
  return seen;
}

function rowsOf(name: string, check: CheckDocument, args: DocumentArgs, most: number): Row[] {
  const report = check({ ...args, suite: nodeSuite });
  const failed = report.checks.find((c) => c.result === "failed");
  if (failed) return [missing(name, `the document is refused: ${failed.why}`)];
  const signatures = signaturesOf(check, args);
  const alone = cost(() => signatures.every((sign) => sign()));
  const cold = cost(() => check({ ...args, suite: nodeSuite }));
  const suite = rememberVendorSignatures(nodeSuite);
  const again = cost(() => check({ ...args, suite }));
  return [
    row(`${name}, ${signatures.length} signatures`, [cold, "CPU-ms", alone], most, cold <= most),
    row(`${name}, seen before`, [again, "CPU-ms", alone], most, again <= most),
  ];
}

function nitroArgs(): DocumentArgs {
  const authority = makeNitroAuthority({ now: judgedAt });
  const register = (n: number) => new Uint8Array(48).fill(n);
  return {
    document: authority.document({
      at: judgedAt,
      pcrs: new Map([0, 1, 2].map((i) => [i, register(i + 1)] as const)),
      userData: binding,
      nonce: null,
      publicKey: null,
    }),
    at: judgedAt,
    roots: [{ format: "nitro", digest: authority.rootDigest, assurance: "simulated", name: "private" }],
    collateral: [],
    measurements: null,
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding,
    nonce: null,
    maxAge: 86_400_000,
    suite: nodeSuite,
  };
}

/** Nitro at most 10 ms, SEV-SNP 3, TDX with its collateral 20. */
export async function bench(): Promise<Row[]> {
  const amd = makeAmd("genoa");
  const leaf = makeEndorsement(amd);
  const snp = wanted(makeReport(amd.family, leaf.key), amd.root, collateralOf(amd, leaf.der));
  const rows = [
    ...rowsOf("Nitro, 3 links", formats.nitro.check, nitroArgs(), 10),
    ...rowsOf("SEV-SNP", formats["sev-snp"].check, { ...snp, tcb: { ...snp.tcb, statuses: ["unrated"] } }, 3),
    ...rowsOf("TDX with collateral", formats.tdx.check, argsOf(), 20),
  ];
  if (!existsSync(vectors)) return rows;
  const document = readFileSync(new URL("nitro/production-a.cose", vectors));
  const genuine = { ...nitroArgs(), document: new Uint8Array(document), roots: pinnedRoots, binding: null };
  return [
    ...rows,
    ...rowsOf(
      "Nitro, genuine, 5 links",
      formats.nitro.check,
      { ...genuine, at: Date.parse("2025-12-25T13:15:38Z") },
      10,
    ),
  ];
}
