import { toHex } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Root } from "../attestation.ts";
import type { RevocationList } from "../crl.ts";
import type { Certificate } from "../x509.ts";
import type { DcapCollateral, QeIdentity, TcbInfo } from "./collateral.ts";
import type { RuntimeEvent } from "./eventlog.ts";
import { policyWord, type Standing } from "./level.ts";
import type { Platform } from "./pck.ts";
import type { Quote, SgxBody, TdBody } from "./quote.ts";

/** Root, PCK CA, PCK. */
export type Chain = readonly [Certificate, Certificate, Certificate];

/** What the checks found so far: each needs those before it, and none runs after one that failed. */
export type Found = {
  quote?: Quote;
  chain?: Chain;
  root?: Root;
  collateral?: DcapCollateral;
  rootList?: RevocationList;
  platform?: Platform;
  info?: TcbInfo;
  identity?: QeIdentity;
  standing?: Standing;
  events?: readonly RuntimeEvent[];
};

const isZero = (hex: string): boolean => /^0+$/.test(hex);

/** The registers that stand for the code. */
export function registersOf(body: SgxBody | TdBody): Readonly<Record<string, string>> {
  if (body.kind === "tdx") {
    const [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmrs;
    // Where the configuration names no application, whatever was started is in RTMR3 alone (dstack): left out, any
    // application on an accepted image would have the accepted name.
    const started = isZero(body.mrConfigId) && !isZero(rtmr3);
    return { mrtd: body.mrTd, rtmr0, rtmr1, rtmr2, mrConfigId: body.mrConfigId, ...(started && { rtmr3 }) };
  }
  const { mrEnclave, mrSigner, isvProdId, isvSvn, configId, configSvn } = body;
  // With key separation and sharing, who starts an enclave may give it another configuration under the same MRENCLAVE.
  const configured = configSvn !== 0 || !isZero(configId);
  return {
    mrEnclave,
    mrSigner,
    isvProdId: String(isvProdId),
    isvSvn: String(isvSvn),
    ...(configured && { configId, configSvn: String(configSvn) }),
  };
}

export function componentsOf({
  platform,
  info,
  identity,
  standing,
  quote,
}: Found): Readonly<Record<string, string | number>> {
  return {
    ...(platform && {
      fmspc: platform.fmspc,
      pceId: platform.pceId,
      pceSvn: platform.pceSvn,
      cpuSvn: platform.cpuSvn,
    }),
    ...(quote && { qeSvn: quote.qe.isvSvn }),
    ...(quote?.body.kind === "tdx" && { teeTcbSvn: toHex(quote.body.teeTcbSvn) }),
    ...(info &&
      identity && {
        tcbEvaluationDataNumber: Math.min(info.tcbEvaluationDataNumber, identity.tcbEvaluationDataNumber),
      }),
    ...(standing && {
      tcbDate: new Date(standing.tcbDate).toISOString(),
      platform: policyWord(standing.platformStatus),
      quotingEnclave: policyWord(standing.qeStatus),
      ...(standing.moduleStatus && { tdxModule: policyWord(standing.moduleStatus) }),
    }),
  };
}

/** Signed facts for people; an event's place is in its name, so that a later one cannot stand for an earlier. */
export function factsOf({ quote, platform, events = [] }: Found): Readonly<Record<string, string>> {
  if (!quote) return {};
  const { body } = quote;
  return {
    quoteVersion: String(quote.version),
    ...(platform && { ppid: platform.ppid }),
    ...(body.kind === "tdx" && {
      tdAttributes: toHex(body.tdAttributes),
      xfam: toHex(body.xfam),
      mrSeam: body.mrSeam,
      mrOwner: body.mrOwner,
      mrOwnerConfig: body.mrOwnerConfig,
      ...(body.newer && { teeTcbSvn2: toHex(body.newer.teeTcbSvn2) }),
    }),
    ...(body.kind === "sgx" && { attributes: toHex(body.attributes) }),
    ...Object.fromEntries(events.map(({ name, payload }, i) => [`event ${i} ${name}`, payload])),
  };
}

/** Issuer and serial of the platform's certificate. */
export function attesterOf({ chain }: Found): string | null {
  if (!chain) return null;
  const [, , leaf] = chain;
  return `${toHex(sha256(leaf.issuer)).slice(0, 32)}:${leaf.serial}`;
}
