import { fromUtf8, isObject, type JsonObject, measurementId, toHex } from "@countersign/core";
import { acceptMeasurement } from "../acceptance.ts";
import { type CheckDocument, type DocumentReport, fault, notRun, openLedger } from "../attestation.ts";
import { acceptKeySet, findKey, isSignedByKey, type PinnedKeys } from "./key-set.ts";
import {
  readText,
  readTimes,
  readWebToken,
  requireAlgorithm,
  requireCurrent,
  requireYoung,
  type TokenTimes,
  type WebToken,
} from "./web-token.ts";

/** Issuer of Confidential Space's tokens. */
export const confidentialSpaceIssuer = "https://confidentialcomputing.googleapis.com";

/** The audience that attesters of this network ask for: a token made for another service is none for us. */
export const tokenAudience = "countersign/tee-keyset/v1";

/** Levels of a machine by its claim `hwmodel`; every other kind is refused, machines without memory encryption among them. */
const machineLevels: Readonly<Record<string, string>> = {
  GCP_INTEL_TDX: "vendor-managed",
  // Plain SEV does not protect memory against changes, and no silicon attests it: a policy must name it.
  GCP_AMD_SEV: "gcp-amd-sev",
  GCP_AMD_SEV_ES: "gcp-amd-sev-es",
};

type Token = { readonly token: WebToken; readonly times: TokenTimes; readonly nonces: readonly string[] };

/**
 * Checks an OIDC token of Google's Confidential Space; the document is the token's text.
 *
 * Google's service checked the virtual machine and says so. The key set is archived as collateral `jwks` and pinned by
 * the SHA-256 of its bytes; tokens with certificates (`x5c`) are refused. `eat_nonce` carries the hex of the 32 bytes
 * that bind our statement and, where the caller drew one, of his nonce.
 *
 * @param audience What `aud` must be, exactly; `checkConfidentialSpace` is this with `tokenAudience`.
 *
 * Source: Google Cloud, Confidential Space token claims; RFC 7519; RFC 9711; spec/tee.md.
 */
export const checkConfidentialSpaceFor =
  (audience: string): CheckDocument =>
  (args) => {
    const { run, failed, close } = openLedger();
    let read: Token | undefined;
    let pinned: PinnedKeys | undefined;
    let authentic = false;
    let status = "unrated";
    const token = () => (read as Token).token;
    const claims = () => token().claims;
    const debug = () => claims().dbgstat !== "disabled-since-boot";

    run("form", () => {
      read = readDocument(args.document);
      return `Made at ${new Date(read.times.issuedAt).toISOString()}.`;
    });
    run("algorithm", () => requireAlgorithm(token(), "RS256"));
    run("root", () => {
      if (claims().iss !== confidentialSpaceIssuer)
        fault("TEE_ROOT_UNTRUSTED", `Its issuer is not ${confidentialSpaceIssuer}.`);
      pinned = acceptKeySet(args.collateral, "confidential-space", args.roots);
      return `${pinned.root.name}.`;
    });
    run("chain", () => {
      if (!pinned) return notRun("Without the issuer's key set there is nothing to find its key in.");
      findKey(pinned, token());
      return "The key that it names is in the pinned set itself.";
    });
    run("validity", () => requireCurrent((read as Token).times, args.at));
    run("revocation", () => notRun("The issuer retires keys by leaving them out of its key set; no list is attached."));
    run("signature", () => {
      if (!pinned) return notRun("Without the issuer's key set nothing shows who signed it.");
      if (!isSignedByKey(token(), findKey(pinned, token()), "RS256", args.suite))
        fault("TEE_SIGNATURE_INVALID", "The token is not signed by the key that it names.");
      authentic = true;
      return "Signed by the issuer.";
    });
    run("tcb", () => {
      const { hwmodel } = claims();
      const known = typeof hwmodel === "string" && Object.hasOwn(machineLevels, hwmodel);
      if (!known) fault("TEE_ATTRIBUTES_NOT_ALLOWED", "Its machine is not of a kind that is known to encrypt memory.");
      status = machineLevels[hwmodel as string] as string;
      if (status !== "vendor-managed" && !args.tcb.statuses.includes(status))
        fault("TEE_TCB_OUT_OF_DATE", `${hwmodel} does not protect memory against changes; no policy names ${status}.`);
      return requireSupport(claims());
    });
    run("debug", () => {
      if (debug() && !args.allowDebug) fault("TEE_DEBUG_MODE", "Debugging was not off since the machine started.");
      return debug() ? "It is on, and that is accepted." : "It is off since the machine started.";
    });
    run("attributes", () => requireAttributes(claims(), audience));
    const registers = read ? registersOf(read.token.claims) : {};
    const measurement = registers.imageDigest ? measurementId("confidential-space", registers) : null;
    run("measurement", () => acceptMeasurement(measurement, args));
    run("eventlog", () => notRun("A token has no event log: the issuer replayed it."));
    run("freshness", () => {
      const { nonce, at, maxAge } = args;
      const { times, nonces } = read as Token;
      if (nonce === null) return requireYoung(times, at, maxAge);
      if (!nonces.includes(toHex(nonce)))
        fault("TEE_NONCE_MISMATCH", "The token does not carry the nonce that was drawn.");
      return "It carries the nonce that was drawn.";
    });
    run("binding", () => {
      if (args.binding === null) return notRun("Nobody asks what it attests.");
      return args.binding.length === 32 && (read as Token).nonces.includes(toHex(args.binding))
        ? "It carries the digest of this statement."
        : fault("TEE_REPORT_DATA_MISMATCH", "It carries other bytes than the digest of this statement.");
    });

    return {
      format: "confidential-space",
      vendor: "Google",
      assurance: authentic && pinned ? pinned.root.assurance : null,
      debug: read ? debug() : null,
      tcb: { status: failed() ? "unrated" : status, advisories: [], components: {} },
      registers,
      measurement,
      facts: read ? factsOf(read.token.claims) : {},
      runtime: {},
      reportData: null,
      producedAt: read?.times.issuedAt ?? null,
      attester: authentic && read ? `confidential-space:${readText(read.token.claims, "sub")}` : null,
      checks: close(),
    } satisfies DocumentReport;
  };

/** `checkConfidentialSpaceFor` the audience of this network. */
export const checkConfidentialSpace: CheckDocument = checkConfidentialSpaceFor(tokenAudience);

function readDocument(document: Uint8Array): Token {
  const token = readWebToken(fromUtf8(document));
  readText(token.claims, "sub");
  const { eat_nonce: nonce } = token.claims;
  const nonces: readonly unknown[] = Array.isArray(nonce) ? nonce : [nonce];
  const sound = (n: unknown): n is string => typeof n === "string" && /^[\x21-\x7e]{8,88}$/.test(n);
  if (nonces.length < 1 || nonces.length > 6 || !nonces.every(sound))
    return fault("TEE_EVIDENCE_MALFORMED", "A token carries one to six nonces of 8 to 88 bytes.");
  return { token, times: readTimes(token.claims), nonces };
}

const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined);

/** `STABLE`: an image that Google supports now, with all fixes. */
function requireSupport({ submods }: JsonObject): string {
  const support = member(member(submods, "confidential_space"), "support_attributes");
  if (!Array.isArray(support) || !support.includes("STABLE"))
    fault("TEE_TCB_OUT_OF_DATE", "The machine's image is not one that Google supports as stable.");
  return "An image that is supported as stable.";
}

function requireAttributes({ aud, swname, submods, secboot }: JsonObject, audience: string): string {
  const refuse = (why: string) => fault("TEE_ATTRIBUTES_NOT_ALLOWED", why);
  if (aud !== audience) refuse(`It was made for another audience than ${audience}.`);
  if (swname !== "CONFIDENTIAL_SPACE") refuse("It does not run Confidential Space.");
  if (secboot !== true) refuse("It did not start securely.");
  const container = member(submods, "container");
  if (!isObject(container)) refuse("It names no container.");
  // What the operator may set when he starts it is not in the image's digest.
  for (const name of ["env_override", "cmd_override"]) {
    const value = member(container, name);
    const empty =
      value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);
    if (!empty) refuse(`The operator changed the container (${name}).`);
  }
  return "Made for us; the container runs as it was built.";
}

function registersOf({ submods }: JsonObject): Readonly<Record<string, string>> {
  const digest = member(member(submods, "container"), "image_digest");
  return typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest) ? { imageDigest: digest } : {};
}

function factsOf({ sub, hwmodel, submods }: JsonObject): Readonly<Record<string, string>> {
  const reference = member(member(submods, "container"), "image_reference");
  return Object.fromEntries(
    Object.entries({ subject: sub, machine: hwmodel, image: reference }).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}
