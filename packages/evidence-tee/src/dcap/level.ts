import { toHex } from "@countersign/core";
import { fault } from "../attestation.ts";
import type { EnclaveLevel, levelStatuses, QeIdentity, TcbInfo } from "./collateral.ts";
import type { Platform } from "./pck.ts";
import type { SgxBody, TdBody } from "./quote.ts";

type LevelStatus = (typeof levelStatuses)[number];
/** Status of a platform after all parts are joined; the last two are TDX 1.5's alone. */
export type Status = LevelStatus | "TDRelaunchAdvised" | "TDRelaunchAdvisedConfigurationNeeded";
/** Of an enclave's or module's level only these differ: what is not up to date and not revoked counts as out of date. */
type PartStatus = "UpToDate" | "OutOfDate" | "Revoked";

/** Where a platform stands. */
export type Standing = {
  readonly status: Status;
  /** Of platform, quoting enclave and module, each once. */
  readonly advisories: readonly string[];
  readonly platformStatus: LevelStatus;
  readonly qeStatus: PartStatus;
  /** Null for SGX, and for TDX modules that the platform's level itself covers. */
  readonly moduleStatus: PartStatus | null;
  /** Milliseconds: the level's date. */
  readonly tcbDate: number;
};

const partOf = ({ tcbStatus }: EnclaveLevel): PartStatus =>
  tcbStatus === "UpToDate" || tcbStatus === "Revoked" ? tcbStatus : "OutOfDate";

const isIdentity = (why: string): never => fault("TEE_QE_IDENTITY", why);

/** Compares hex text of either case under a mask. */
function checkMasked(value: Uint8Array, mask: string, expected: string, what: string): void {
  const [m, e] = [mask, expected].map((text) => BigInt(`0x${text}`)) as [bigint, bigint];
  if ((BigInt(`0x${toHex(value)}`) & m) !== e) isIdentity(`${what} is not the vendor's.`);
}

/**
 * Checks that a report is that of the vendor's quoting enclave and finds the enclave's level
 * (Intel DCAP quote verification, enclave report against enclave identity).
 *
 * @throws TEE_QE_IDENTITY, TEE_TCB_OUT_OF_DATE when its SVN is under every level
 */
export function judgeQe(qe: SgxBody, identity: QeIdentity): EnclaveLevel {
  // Both in the order of memory; Intel has only ever published zero, under a full mask.
  checkMasked(qe.miscSelect, identity.miscselectMask, identity.miscselect, "The quoting enclave's MISCSELECT");
  checkMasked(qe.attributes, identity.attributesMask, identity.attributes, "An attribute of the quoting enclave");
  if (identity.mrsigner.toLowerCase() !== qe.mrSigner) isIdentity("The quoting enclave has another signer.");
  if (identity.isvprodid !== qe.isvProdId) isIdentity("The quoting enclave is another product.");
  return (
    identity.tcbLevels.find((level) => level.tcb.isvsvn <= qe.isvSvn) ??
    fault("TEE_TCB_OUT_OF_DATE", `The quoting enclave's SVN ${qe.isvSvn} is under every level that Intel names.`)
  );
}

type TdxInfo = Extract<TcbInfo, { readonly id: "TDX" }>;
const byte = (bytes: Uint8Array, at: number): number => bytes[at] as number;
const moduleName = (version: number) => `TDX_${version.toString(16).padStart(2, "0").toUpperCase()}`;

/**
 * Checks that the TDX module is Intel's. From major version 1 on it has a level of its own; before, the platform's first
 * two TDX components cover it.
 */
function judgeModule(body: TdBody, info: TdxInfo): EnclaveLevel | null {
  const version = byte(body.teeTcbSvn, 1);
  const name = moduleName(version);
  const identity = version === 0 ? undefined : info.tdxModuleIdentities.find((m) => m.id === name);
  if (version > 0 && !identity) isIdentity(`Intel names no TDX module ${name}.`);
  const expected = identity ?? info.tdxModule;
  if (expected.mrsigner.toLowerCase() !== body.mrSignerSeam) isIdentity("The TDX module has another signer.");
  checkMasked(body.seamAttributes, expected.attributesMask, expected.attributes, "An attribute of the TDX module");
  if (body.seamAttributes.some((b) => b !== 0))
    isIdentity("The TDX module has attributes that no production module has.");
  if (!identity) return null;
  const svn = byte(body.teeTcbSvn, 0);
  return (
    identity.tcbLevels.find((level) => level.tcb.isvsvn <= svn) ??
    fault("TEE_TCB_OUT_OF_DATE", `The TDX module's SVN ${svn} is under every level that Intel names.`)
  );
}

/** Whether every SVN reaches its component; with a module of its own level, the first two TDX components are not compared. */
function reaches(
  svns: readonly number[] | Uint8Array,
  components: readonly { readonly svn: number }[],
  from = 0,
): boolean {
  return components.every((component, i) => i < from || (svns[i] as number) >= component.svn);
}

const reachesSgx = (platform: Platform, level: TcbInfo["tcbLevels"][number]): boolean =>
  reaches(platform.components, level.tcb.sgxtcbcomponents) && platform.pceSvn >= level.tcb.pcesvn;

/** Intel's table for joining a level with the status of the module or of the quoting enclave; it is the same for both. */
export function converge<S extends Status>(level: S, part: PartStatus): S | Status {
  if (part === "Revoked") return "Revoked";
  if (part === "UpToDate") return level;
  switch (level) {
    case "UpToDate":
    case "SWHardeningNeeded":
      return "OutOfDate";
    case "ConfigurationNeeded":
    case "ConfigurationAndSWHardeningNeeded":
      return "OutOfDateConfigurationNeeded";
    default:
      // OutOfDate, OutOfDateConfigurationNeeded and Revoked stay as they are; so does the advice to relaunch.
      return level;
  }
}

const needsConfiguration = (status: Status): boolean => status.includes("Configuration");

/**
 * TDX 1.5: where only the module that the domain was started under is out of date, and the module that runs now is the
 * latest, Intel advises to start the domain again instead of calling the platform out of date.
 */
function adviseRelaunch(
  body: TdBody,
  info: TdxInfo,
  sgx: LevelStatus,
  joined: Status,
  part: PartStatus | null,
): Status {
  const [latest] = info.tcbLevels;
  if (!body.newer || !latest || part !== "OutOfDate") return joined;
  if (sgx === "OutOfDate" || sgx === "OutOfDateConfigurationNeeded" || sgx === "Revoked") return joined;
  if (joined !== "OutOfDate" && joined !== "OutOfDateConfigurationNeeded") return joined;
  const now = body.newer.teeTcbSvn2;
  const version = byte(now, 1);
  const module = info.tdxModuleIdentities.find((m) => m.id === moduleName(version));
  if (version > 0 && !module) isIdentity(`Intel names no TDX module ${moduleName(version)}.`);
  const least = version === 0 ? latest.tcb.tdxtcbcomponents[0]?.svn : module?.tcbLevels[0]?.tcb.isvsvn;
  const microcode = latest.tcb.tdxtcbcomponents[2]?.svn;
  if (least === undefined || microcode === undefined || byte(now, 0) < least || byte(now, 2) < microcode) return joined;
  return needsConfiguration(sgx) || needsConfiguration(joined)
    ? "TDRelaunchAdvisedConfigurationNeeded"
    : "TDRelaunchAdvised";
}

/**
 * Joins the levels of platform, TDX module and quoting enclave into one status.
 *
 * Source: Intel SGX/TDX DCAP Quote Verification Library, TcbLevelCheck, TdxModuleCheck and TDRelaunchCheck (steps
 * 4.1.2.4.17 of its design); Intel PCS API v4, "TCB status" of TCB info version 3.
 *
 * @throws TEE_TCB_CERT_MISMATCH when the info is of another kind, TEE_QE_IDENTITY, TEE_TCB_OUT_OF_DATE when no level fits
 */
export function judgePlatform(platform: Platform, body: SgxBody | TdBody, info: TcbInfo, qe: EnclaveLevel): Standing {
  const none = () =>
    fault("TEE_TCB_OUT_OF_DATE", "The platform's SVNs are under every level that Intel names for this family.");
  const qeStatus = partOf(qe);
  const union = (...lists: readonly (readonly string[] | undefined)[]) => [...new Set(lists.flatMap((l) => l ?? []))];
  if (body.kind === "sgx" || info.id === "SGX") {
    // A domain judged by SGX levels would skip everything of TDX.
    if (body.kind !== "sgx" || info.id !== "SGX")
      return fault("TEE_TCB_CERT_MISMATCH", `TCB info of another kind: ${info.id}.`);
    const level = info.tcbLevels.find((l) => reachesSgx(platform, l)) ?? none();
    return {
      status: converge(level.tcbStatus, qeStatus),
      advisories: union(level.advisoryIDs, qe.advisoryIDs),
      platformStatus: level.tcbStatus,
      qeStatus,
      moduleStatus: null,
      tcbDate: level.tcbDate,
    };
  }
  const module = judgeModule(body, info);
  const moduleStatus = module && partOf(module);
  const sgx = info.tcbLevels.find((l) => reachesSgx(platform, l)) ?? none();
  const level =
    info.tcbLevels.find(
      (l) => reachesSgx(platform, l) && reaches(body.teeTcbSvn, l.tcb.tdxtcbcomponents, module ? 2 : 0),
    ) ?? none();
  let status: Status = moduleStatus ? converge(level.tcbStatus, moduleStatus) : level.tcbStatus;
  if (qeStatus === "UpToDate" && status !== "Revoked")
    status = adviseRelaunch(body, info, sgx.tcbStatus, status, moduleStatus);
  return {
    status: converge(status, qeStatus),
    advisories: union(level.advisoryIDs, module?.advisoryIDs, qe.advisoryIDs),
    platformStatus: level.tcbStatus,
    qeStatus,
    moduleStatus,
    tcbDate: level.tcbDate,
  };
}

/** The vendor's word in policy spelling: `SWHardeningNeeded` is `sw-hardening-needed`. */
export const policyWord = (status: Status): string =>
  status.replace(/([a-z])([A-Z])|([A-Z])([A-Z][a-z])/g, "$1$3-$2$4").toLowerCase();
