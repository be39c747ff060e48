import { gpuNonce, isObject, type JsonObject, measurementId, parseJsonBytes, toHex, utf8 } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { acceptMeasurement } from "../acceptance.ts";
import { type CheckDocument, type DocumentReport, fault, notRun, openLedger } from "../attestation.ts";
import { acceptKeySet, findKey, isSignedByKey, type PinnedKeys } from "../token/key-set.ts";
import {
  readText,
  readTimes,
  readWebToken,
  requireAlgorithm,
  requireCurrent,
  requireYoung,
  type TokenTimes,
  type WebToken,
} from "../token/web-token.ts";

/** Issuer of the tokens of NVIDIA's remote attestation service. */
export const nvidiaIssuer = "https://nras.attestation.nvidia.com";

type Tokens = {
  readonly overall: WebToken;
  readonly gpu: WebToken;
  /** The GPU token's own text, which the overall token names by its digest. */
  readonly gpuText: string;
  readonly gpuName: string;
};

/**
 * Checks a detached EAT of NVIDIA's remote attestation service for one GPU: `[["JWT", overall], {"GPU-0": token}]`.
 *
 * NVIDIA's service compared the GPU's measurements with its reference manifests and says so; whom one believes is the
 * service, not silicon. The key set is archived as collateral `jwks` and pinned by the SHA-256 of its bytes. Tokens of a
 * local verifier (`alg: none`) are evidence of nothing.
 *
 * Source: NVIDIA attestation SDK, claims version 3; RFC 9711; RFC 7515; spec/tee.md.
 */
export const checkNvidiaEat: CheckDocument = (args) => {
  const { run, close } = openLedger();
  let read: Tokens | undefined;
  let times: readonly TokenTimes[] = [];
  let pinned: PinnedKeys | undefined;
  let authentic = false;
  const tokens = () => read as Tokens;
  const both = () => [tokens().overall, tokens().gpu];
  const claims = () => tokens().gpu.claims;

  run("form", () => {
    read = readTokens(args.document);
    return `An overall token and that of ${read.gpuName}.`;
  });
  run("algorithm", () => {
    if (both().some((t) => t.algorithm.toLowerCase() === "none"))
      fault("TEE_GPU_ALG_NONE", "A local verifier wrote it and nobody signed it.");
    return both().map((t) => requireAlgorithm(t, "ES384"))[0] as string;
  });
  run("root", () => {
    for (const { claims } of both())
      if (claims.iss !== nvidiaIssuer) fault("TEE_ROOT_UNTRUSTED", `Its issuer is not ${nvidiaIssuer}.`);
    pinned = acceptKeySet(args.collateral, "nvidia-eat", args.roots);
    for (const token of both()) findKey(pinned, token);
    return `${pinned.root.name}.`;
  });
  run("chain", () => requireOneStatement(tokens()));
  run("validity", () => {
    times = both().map((t) => readTimes(t.claims));
    return times.map((t) => requireCurrent(t, args.at))[0] as string;
  });
  run("revocation", () => requireUnrevoked(claims()));
  run("signature", () => {
    if (!pinned) return notRun("Without the issuer's key set nothing shows who signed it.");
    for (const token of both())
      if (!isSignedByKey(token, findKey(pinned, token), "ES384", args.suite))
        fault("TEE_SIGNATURE_INVALID", "A token is not signed by the key that it names.");
    authentic = true;
    return "Both tokens are signed.";
  });
  run("tcb", () => notRun("The service says whether measurements are the vendor's, not how old they are."));
  const debug = () => claims().dbgstat !== "disabled";
  run("debug", () => {
    if (debug() && !args.allowDebug) fault("TEE_DEBUG_MODE", "The GPU's debug status is not `disabled`.");
    return debug() ? "It is on, and that is accepted." : "It is off.";
  });
  run("attributes", () => {
    if (claims().measres !== "success" || tokens().overall.claims["x-nvidia-overall-att-result"] !== true)
      fault("TEE_GPU_MEASUREMENT", "The service found other measurements than the vendor's.");
    if (claims().secboot !== true) fault("TEE_ATTRIBUTES_NOT_ALLOWED", "The GPU did not start securely.");
    return "The measurements are the vendor's; secure boot is on.";
  });
  const registers = read ? versionsOf(read.gpu.claims) : {};
  const measurement = registers.driver ? measurementId("nvidia-eat", registers) : null;
  run("measurement", () => acceptMeasurement(measurement, args));
  run("eventlog", () => notRun("A GPU has no event log."));
  run("freshness", () => {
    const { nonce, at, maxAge } = args;
    if (nonce !== null) return requireNonce(claims(), nonce);
    return times.map((t) => requireYoung(t, at, maxAge))[0] as string;
  });
  run("binding", () => {
    if (args.binding === null) return notRun("Nobody asks what it attests; the CPU's document is bound by the nonce.");
    return requireNonce(claims(), gpuNonce(args.binding));
  });

  return {
    format: "nvidia-eat",
    vendor: "NVIDIA's attestation service",
    assurance: authentic && pinned ? pinned.root.assurance : null,
    debug: read ? debug() : null,
    tcb: { status: "unrated", advisories: [], components: { ...registers } },
    registers,
    measurement,
    facts: read ? factsOf(read) : {},
    runtime: {},
    reportData: null,
    producedAt: times.length > 0 ? Math.min(...times.map((t) => t.issuedAt)) : null,
    attester: authentic && read ? `nvidia-ueid:${readText(read.gpu.claims, "ueid")}` : null,
    checks: close(),
  } satisfies DocumentReport;
};

function readTokens(document: Uint8Array): Tokens {
  const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", why);
  const value = parseJsonBytes(document);
  const [first, detached, ...more] = Array.isArray(value) ? value : [];
  const [kind, overallText, ...rest] = Array.isArray(first) ? first : [];
  if (more.length > 0 || rest.length > 0 || kind !== "JWT" || typeof overallText !== "string" || !isObject(detached))
    return bad("It is no detached EAT.");
  const entries = Object.entries(detached);
  const [entry] = entries;
  if (!entry || entries.length > 1) return bad(`One document holds one GPU; this one holds ${entries.length}.`);
  const [gpuName, gpuText] = entry;
  if (!/^GPU-[0-9]{1,3}$/.test(gpuName) || typeof gpuText !== "string") return bad("Its token is not a GPU's.");
  const [overall, gpu] = [readWebToken(overallText), readWebToken(gpuText)];
  return { overall, gpu, gpuText, gpuName };
}

/** The overall token names the GPU's by the digest of its exact text, and both carry one nonce. */
function requireOneStatement({ overall, gpu, gpuText, gpuName }: Tokens): string {
  const unbound = (why: string) => fault("TEE_GPU_NOT_BOUND", why);
  const { sub, submods, eat_nonce: nonce } = overall.claims;
  if (sub !== "NVIDIA-PLATFORM-ATTESTATION" || !isObject(submods))
    return unbound("The first token is not the overall.");
  const listed = Object.keys(submods);
  if (listed.length !== 1 || listed[0] !== gpuName) unbound("The overall token speaks of other GPUs.");
  const [tag, named, ...more] = listOf(submods[gpuName]);
  const [algorithm, digest, ...rest] = listOf(named);
  // The remote service writes the first spelling, the local verifier the second.
  const known = algorithm === "SHA-256" || algorithm === "SHA256";
  if (tag !== "DIGEST" || !known || more.length > 0 || rest.length > 0 || digest !== toHex(sha256(utf8(gpuText))))
    unbound("The overall token names another GPU token.");
  if (typeof nonce !== "string" || !/^[0-9a-f]{64}$/.test(nonce) || gpu.claims.eat_nonce !== nonce)
    unbound("The two tokens carry different nonces.");
  const device = gpu.claims["x-nvidia-device-type"];
  if (device !== undefined && device !== "gpu") unbound("The second token is not a GPU's.");
  if (!/^[0-9]{1,64}$/.test(readText(gpu.claims, "ueid")))
    fault("TEE_EVIDENCE_MALFORMED", "It does not say which GPU it is.");
  return "The overall token names the GPU's by its digest; both carry one nonce.";
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The service asked NVIDIA's OCSP responder for the device's certificates and for the manifests' signers. */
function requireUnrevoked(claims: JsonObject): string {
  const chains = ["attestation-report", "driver-rim", "vbios-rim"].map(
    (name) => claims[`x-nvidia-gpu-${name}-cert-chain`],
  );
  for (const chain of chains) {
    if (!isObject(chain)) return notRun("The service does not say whether certificates are revoked.");
    const { "x-nvidia-cert-status": status, "x-nvidia-cert-ocsp-status": ocsp } = chain;
    if (ocsp === "revoked") fault("TEE_CERT_REVOKED", "The service found a certificate of the GPU revoked.");
    if (ocsp !== "good") fault("TEE_REVOCATION_UNKNOWN", "The service could not find out whether it is revoked.");
    if (status !== "valid") fault("TEE_CHAIN_BROKEN", "The service found a certificate of the GPU not valid.");
  }
  return "By the service's word, which asked for each chain.";
}

function requireNonce({ eat_nonce: nonce }: JsonObject, wanted: Uint8Array): string {
  return nonce === toHex(wanted)
    ? "It answers the nonce that belongs to this statement."
    : fault("TEE_GPU_NOT_BOUND", "The GPU answered another nonce: its evidence may come from another machine.");
}

function versionsOf(claims: JsonObject): Readonly<Record<string, string>> {
  const [driver, vbios] = [claims["x-nvidia-gpu-driver-version"], claims["x-nvidia-gpu-vbios-version"]];
  const plain = (v: unknown): v is string => typeof v === "string" && /^[\x21-\x7e]{1,64}$/.test(v);
  return plain(driver) && plain(vbios) ? { driver, vbios } : {};
}

function factsOf({ gpu, gpuName }: Tokens): Readonly<Record<string, string>> {
  const { hwmodel, ueid } = gpu.claims;
  return {
    name: gpuName,
    ...(typeof hwmodel === "string" && { chip: hwmodel }),
    ...(typeof ueid === "string" && { ueid }),
  };
}
