import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { CountersignError, type Hex, type Json, type JsonObject, parseJsonBytes } from "@countersign/core";
import { isKeyName, parseVkey, type VerifierKey } from "@countersign/log";
import type { Standing } from "./tally.ts";

/** What an auditor needs to run. */
export type AuditorConfig = {
  /** Its name as a witness: a C2SP key name, as `auditor.example/north`. */
  readonly name: string;
  /** Where it keeps its keys, what it cosigned and its copy of the log; made when it is not there. */
  readonly directory: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly log: {
    readonly key: VerifierKey;
    /** Address in front of `checkpoint` and `tile/`, ends with a slash. */
    readonly url: string;
  };
  /** Whose entries may speak against receipts and keys; nobody's by default. */
  readonly standing: Standing;
  /** Milliseconds between two looks at the log. */
  readonly every: number;
};

const fail = (message: string, cause?: unknown): never => {
  throw new CountersignError("CONFIG_INVALID", {
    message: `The auditor's configuration cannot be used: ${message}`,
    remedy: "See the package's README for its form.",
    cause,
  });
};

function readObject(value: Json | undefined, where: string, names: readonly string[]): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail(`${where} is no object.`);
  const unknown = Object.keys(value).filter((name) => !names.includes(name));
  // A misspelled option that is ignored would be a default that nobody chose.
  if (unknown.length > 0) fail(`${where} has the unknown member ${unknown[0]}.`);
  return value as JsonObject;
}

const readText = (value: Json | undefined, where: string): string =>
  typeof value === "string" && value !== "" ? value : fail(`${where} is no text.`);
const readCount = (value: Json | undefined, where: string, most: number): number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most
    ? (value as number)
    : fail(`${where} is no number from 0 to ${most}.`);

function readLog(value: Json | undefined): AuditorConfig["log"] {
  const log = readObject(value, "log", ["key", "url"]);
  let key: VerifierKey;
  let url: URL;
  try {
    key = parseVkey(readText(log.key, "log.key"));
    url = new URL(readText(log.url, "log.url"));
  } catch (cause) {
    return fail("log needs a verifier key and a URL.", cause);
  }
  if (key.use !== "note") fail("log.key is a witness's key, not a log's.");
  if (!/^https?:$/.test(url.protocol) || !url.pathname.endsWith("/")) fail("log.url must be http(s) and end with /.");
  return { key, url: url.href };
}

function readStanding(value: Json | undefined): Standing {
  if (value === undefined) return { refute: [], revoke: [] };
  const { refute, revoke } = readObject(value, "standing", ["refute", "revoke"]);
  const keys = (list: Json | undefined, where: string): Hex[] => {
    if (list === undefined) return [];
    if (!Array.isArray(list)) return fail(`${where} is no list.`);
    return (list as readonly Json[]).map((key) =>
      typeof key === "string" && /^[0-9a-f]{64}$/.test(key) ? key : fail(`${where} holds something that is no key.`),
    );
  };
  return { refute: keys(refute, "standing.refute"), revoke: keys(revoke, "standing.revoke") };
}

/** Reads a configuration value. @throws CONFIG_INVALID */
export function readConfig(value: Json, base: string): AuditorConfig {
  const config = readObject(value, "It", ["name", "directory", "listen", "log", "standing", "every"]);
  const listen = readObject(config.listen ?? {}, "listen", ["host", "port"]);
  const name = readText(config.name, "name");
  if (!isKeyName(name)) fail("name must not hold white space or a plus.");
  return {
    name,
    directory: resolve(base, readText(config.directory, "directory")),
    listen: {
      host: listen.host === undefined ? "127.0.0.1" : readText(listen.host, "listen.host"),
      port: listen.port === undefined ? 0 : readCount(listen.port, "listen.port", 65_535),
    },
    log: readLog(config.log),
    standing: readStanding(config.standing),
    every: config.every === undefined ? 1000 : readCount(config.every, "every", 3_600_000),
  };
}

/**
 * Reads a configuration file; paths in it are relative to it. `COUNTERSIGN_AUDITOR_HOST` and `_PORT` stand above it.
 *
 * @throws CONFIG_INVALID, FILE_UNREADABLE
 */
export function loadConfig(file: string, env: Readonly<Record<string, string | undefined>>): AuditorConfig {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new CountersignError("FILE_UNREADABLE", { message: `The configuration ${file} cannot be read.`, cause });
  }
  let value: Json;
  try {
    value = parseJsonBytes(bytes);
  } catch (cause) {
    return fail(`${file} is not JSON.`, cause);
  }
  const config = readConfig(value, dirname(resolve(file)));
  const { COUNTERSIGN_AUDITOR_HOST: host, COUNTERSIGN_AUDITOR_PORT: port } = env;
  return {
    ...config,
    listen: {
      host: host || config.listen.host,
      port: port ? readCount(Number(port), "COUNTERSIGN_AUDITOR_PORT", 65_535) : config.listen.port,
    },
  };
}
