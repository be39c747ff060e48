import {
  type AttestationFormat,
  CountersignError,
  fromBase64,
  fromHex,
  fromUtf8,
  isObject,
  parseJsonBytes,
  utf8,
} from "@countersign/core";
import { type Collateral, Fault, openHclReport, tpmDocument, unwrapDstack, unwrapNsm } from "@countersign/evidence-tee";

/** Formats whose document is text itself. */
const textFormats: readonly string[] = ["nvidia-eat", "confidential-space", "attestation", "tpm2"];

/** Frames in which captures come; each is unwrapped by its grammar and only when it is named. */
export const frames = ["nsm", "scale", "hcl"] as const;
/** A frame's name. */
export type Frame = (typeof frames)[number];

/** A document out of a file, with what the file held besides, and a sentence on how it was read. */
export type FoundDocument = {
  readonly document: Uint8Array;
  readonly collateral: readonly Collateral[];
  readonly said: string;
};

const misused = (message: string, remedy: string): never => {
  throw new CountersignError("COMMAND_MISUSED", { message, remedy });
};

/**
 * Reads the documents in a file: binary, hex, base64, or the vendors' JSON around them. Nothing is searched for: a file is
 * of one of these forms as a whole, and what was found is said.
 *
 * @throws TEE_EVIDENCE_MALFORMED, COMMAND_MISUSED for a frame that the format does not have
 */
export function readDocuments(
  bytes: Uint8Array,
  format: AttestationFormat | "attestation",
  frame: Frame | undefined,
): readonly FoundDocument[] {
  const plain = readEncoding(bytes, format);
  if (frame !== undefined) return [inOurWords(() => unwrap(plain, format, frame))];
  if (plain.json === undefined) return [{ document: plain.bytes, collateral: [], said: plain.said }];
  const found = readVendorJson(plain.json, format);
  return found ?? [{ document: plain.bytes, collateral: [], said: plain.said }];
}

type Plain = { readonly bytes: Uint8Array; readonly said: string; readonly json: unknown };

function readEncoding(bytes: Uint8Array, format: string): Plain {
  const text = asText(bytes);
  if (text === undefined) return { bytes, said: `binary, ${bytes.length} bytes`, json: undefined };
  const bare = text.trim();
  if (bare.startsWith("{") || bare.startsWith("[")) return { bytes, said: "JSON", json: jsonOf(bytes) };
  const joined = bare.replace(/[\r\n]+/g, "");
  if (/^(?:0x)?(?:[0-9a-fA-F]{2})+$/.test(joined)) {
    const document = fromHex(joined.replace(/^0x/, "").toLowerCase());
    return { bytes: document, said: `hex, ${document.length} bytes`, json: undefined };
  }
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(joined) && joined.length % 4 === 0) {
    const document = fromBase64(joined);
    const inner = textFormats.includes(format) ? asText(document)?.trimStart() : undefined;
    const json = inner !== undefined && /^[[{]/.test(inner) ? jsonOf(document) : undefined;
    return { bytes: document, said: `base64, ${document.length} bytes`, json };
  }
  if (textFormats.includes(format)) return { bytes: utf8(bare), said: "text", json: undefined };
  throw new CountersignError("TEE_EVIDENCE_MALFORMED", {
    message: "The file is text and neither hex, base64 nor JSON.",
    remedy: "Give the document itself, or one of these encodings of it.",
  });
}

/** Text, unless the bytes are no UTF-8 or hold control characters. */
function asText(bytes: Uint8Array): string | undefined {
  try {
    const text = fromUtf8(bytes);
    return /[^\P{Cc}\t\r\n]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJsonBytes(bytes);
  } catch (cause) {
    throw new CountersignError("TEE_EVIDENCE_MALFORMED", {
      message: "The file begins like JSON and cannot be read as JSON.",
      why: CountersignError.is(cause) ? cause.detail.message : undefined,
      cause,
    });
  }
}

/** The vendors' own JSON around documents, or undefined where the JSON is the document itself. */
function readVendorJson(value: unknown, format: string): readonly FoundDocument[] | undefined {
  if (format === "nvidia" && Array.isArray(value) && value.length > 1) {
    return value.map((gpu, i) => ({
      document: utf8(JSON.stringify([gpu])),
      collateral: [],
      said: `GPU ${i + 1} of ${value.length} in a JSON list`,
    }));
  }
  if (format === "nvidia-eat" && isObject(value) && Array.isArray(value.detached_eat)) {
    return [{ document: utf8(JSON.stringify(value.detached_eat)), collateral: [], said: "JSON, member detached_eat" }];
  }
  if ((format === "tdx" || format === "sgx") && isObject(value) && typeof value.quote === "string") {
    const log = value.event_log;
    const text = typeof log === "string" ? log : log === undefined ? undefined : JSON.stringify(log);
    return [
      {
        document: fromHex(value.quote.replace(/^0x/, "").toLowerCase()),
        collateral: text === undefined ? [] : [{ kind: "event-log", data: utf8(text) }],
        said: `JSON, quote in hex${text === undefined ? "" : " with its event log"}`,
      },
    ];
  }
  if (textFormats.includes(format) || format === "nvidia") return undefined;
  throw new CountersignError("TEE_EVIDENCE_MALFORMED", {
    message: `The file is JSON of a form that is not known for ${format}.`,
    remedy: "Give the document itself: binary, hex or base64.",
  });
}

const frameFormats: Readonly<Record<Frame, AttestationFormat>> = { nsm: "nitro", scale: "nitro", hcl: "sev-snp" };

function unwrap({ bytes, said }: Plain, format: string, frame: Frame): FoundDocument {
  if (frameFormats[frame] !== format)
    misused(`A frame ${frame} holds ${frameFormats[frame]} documents, not ${format}.`, "Leave --frame out.");
  if (frame === "nsm") return { document: unwrapNsm(bytes), collateral: [], said: `${said}, NSM answer` };
  if (frame === "scale") return { document: unwrapDstack(bytes), collateral: [], said: `${said}, SCALE frame` };
  return {
    document: openHclReport(bytes).report,
    collateral: [],
    said: `${said}, Azure HCL frame; the report carries the digest of its runtime text`,
  };
}

/** A TPM's quote and signature in the one form in which they are checked. */
export const joinQuote = (quote: Uint8Array, signature: Uint8Array): Uint8Array => tpmDocument({ quote, signature });

/** A parser's refusal, as the command line tells it. */
function inOurWords<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new CountersignError(error.code, { message: error.message, cause: error });
  }
}
