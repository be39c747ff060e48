import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { CountersignError } from "@countersign/core";
import { closureOf, commonFolder, type Manifest } from "./dependencies.ts";

/** A piece of the image: what lies at `host` is seen read-only at `inside`, but for `without`. */
export type ImagePart =
  | { readonly kind: "tree"; readonly host: string; readonly inside: string; readonly without: readonly string[] }
  | { readonly kind: "file"; readonly host: string; readonly inside: string }
  | { readonly kind: "link"; readonly target: string; readonly inside: string };

/** Everything that an enclave sees of this machine's programs: what is measured is what is visible. */
export type EnclaveImage = {
  /** Our code and its dependencies, below `/app`. */
  readonly code: readonly ImagePart[];
  /** The runtime and the system libraries that it and native modules are linked with. */
  readonly runtime: readonly ImagePart[];
  /** Path of a host file below `/app`. */
  readonly inside: (host: string) => string;
};

/** Folders of a package that are for other machines than this one. */
function foreignFolders(dir: string, name: string | undefined): readonly string[] {
  if (name !== "onnxruntime-node") return [];
  const list = (d: string) => (existsSync(d) ? readdirSync(d).map((n) => join(d, n)) : []);
  const bin = list(join(dir, "bin"));
  const platforms = bin.flatMap(list);
  const own = platforms.filter((p) => p.endsWith(`${sep}${process.platform}`));
  return [
    ...platforms.filter((p) => !own.includes(p)),
    ...own.flatMap(list).filter((p) => !p.endsWith(`${sep}${process.arch}`)),
  ];
}

/** Parts of one package: an installed one whole, one of this source tree without what only builds and tests it. */
function partsOf(
  dir: string,
  { name }: Manifest,
  ours: "src" | "dist",
  inside: (host: string) => string,
): readonly ImagePart[] {
  const installed = dir.split(sep).includes("node_modules");
  const file = (path: string): ImagePart => ({ kind: "file", host: path, inside: inside(path) });
  const tree = (path: string): ImagePart => ({
    kind: "tree",
    host: path,
    inside: inside(path),
    without: foreignFolders(path, name),
  });
  if (installed) return [tree(dir)];
  return [
    file(join(dir, "package.json")),
    ...[ours, "node_modules"]
      .map((n) => join(dir, n))
      .filter(existsSync)
      .map(tree),
  ];
}

/** Every file and link of an image, by its path inside. @throws TEE_UNAVAILABLE for any other thing that lies there */
export function listImage(
  parts: readonly ImagePart[],
  onFolder: (path: string) => void = () => undefined,
): readonly Exclude<ImagePart, { kind: "tree" }>[] {
  const found: Exclude<ImagePart, { kind: "tree" }>[] = [];
  const walk = (host: string, inside: string, without: readonly string[]) => {
    onFolder(host);
    for (const entry of readdirSync(host, { withFileTypes: true })) {
      const path = join(host, entry.name);
      const at = `${inside}/${entry.name}`;
      if (without.includes(path)) continue;
      if (entry.isDirectory()) walk(path, at, without);
      else if (entry.isSymbolicLink()) found.push({ kind: "link", target: readlinkSync(path), inside: at });
      else if (entry.isFile()) found.push({ kind: "file", host: path, inside: at });
      else throw unmeasurable(path);
    }
  };
  for (const part of parts) {
    if (part.kind === "tree") walk(part.host, part.inside, part.without);
    else found.push(part);
  }
  return found.sort((a, b) => (a.inside < b.inside ? -1 : a.inside > b.inside ? 1 : 0));
}

// A pipe, a socket or a device has no bytes to measure, and gives a reader inside whatever somebody writes later.
const unmeasurable = (path: string) =>
  new CountersignError("TEE_UNAVAILABLE", {
    message: `${path} cannot be measured.`,
    why: "It is neither a file, nor a folder, nor a link.",
    remedy: "Remove it: it is no part of the program.",
  });

/** System libraries that these programs are linked with, as the system's own loader finds them. */
function librariesOf(programs: readonly string[]): readonly string[] {
  let text: string;
  try {
    text = execFileSync("ldd", [...programs], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      env: { PATH: process.env.PATH ?? "" },
    });
  } catch (error) {
    // It ends with a status of its own when one of the programs is for another machine; what it said of others counts.
    text = String((error as { stdout?: unknown }).stdout ?? "");
  }
  const paths = [...text.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/gm)].map((m) => m[1] as string);
  if (paths.length === 0 && process.platform === "linux")
    throw new CountersignError("TEE_UNAVAILABLE", {
      message: "The libraries of the runtime cannot be told.",
      why: "The program ldd is not there, or says nothing.",
    });
  return [...new Set(paths)].sort();
}

/**
 * Puts together what the enclave sees: the package at `root` with its dependencies, the runtime, the libraries of both.
 *
 * @param root Folder of the package `@countersign/node`.
 * @param ours Which folder of our own packages runs: `src` in the source tree, `dist` where they are built.
 */
export function buildImage(root: string, ours: "src" | "dist"): EnclaveImage {
  const { packages, links } = closureOf(root);
  const base = commonFolder([...packages.keys(), ...links.keys()]);
  const inside = (host: string) => `/app/${relative(base, host).split(sep).join("/")}`;
  const lockfile = join(base, "package-lock.json");
  const code: ImagePart[] = [
    ...[...packages].flatMap(([dir, manifest]) => partsOf(dir, manifest, ours, inside)),
    ...[...links].map(
      ([path, real]): ImagePart => ({ kind: "link", target: relative(dirname(path), real), inside: inside(path) }),
    ),
    ...(existsSync(lockfile) ? [{ kind: "file" as const, host: lockfile, inside: inside(lockfile) }] : []),
  ];
  const runtime = realpathSync(process.execPath);
  const files = listImage(code).flatMap((p) => (p.kind === "file" ? [p.host] : []));
  const native = files.filter((f) => /\.(?:node|so(?:\.[0-9.]+)?)$/.test(f) && isElf(f));
  const libraries = librariesOf([runtime, ...native]).filter((l) => !files.includes(realpathSync(l)));
  return {
    code,
    runtime: [
      { kind: "file", host: runtime, inside: "/runtime/node" },
      ...libraries.map((path): ImagePart => ({ kind: "file", host: path, inside: path })),
    ],
    inside,
  };
}

function isElf(path: string): boolean {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(4);
    readSync(file, head, 0, 4, 0);
    return head.equals(Buffer.from("\x7fELF", "latin1"));
  } finally {
    closeSync(file);
  }
}

// A process that starts several enclaves hashes each file once, as long as the file is the same unchanged one.
const hashes = new Map<string, { readonly state: string; readonly line: string }>();

/** What changes when somebody writes to a file or a folder, or puts another in its place: ctime is nobody's to set. */
export function stateOf(path: string, kind: "file" | "folder"): string {
  const found = statSync(path, { bigint: true });
  if (kind === "file" && !found.isFile()) throw unmeasurable(path);
  const { dev, ino, size, mode, mtimeNs, ctimeNs } = found;
  return [dev, ino, size, mode, mtimeNs, ctimeNs].join();
}

/** Size and SHA-384 of a file. */
function measureFile(path: string): string {
  const state = stateOf(path, "file");
  const known = hashes.get(path);
  if (known?.state === state) return known.line;
  const bytes = readFileSync(path);
  const line = `${bytes.length}\0${hash("sha384", bytes, "hex")}`;
  hashes.set(path, { state, line });
  return line;
}

/** SHA-384 over the image's listing: path, kind, size or target, SHA-384 of the bytes, one line each, by path. */
export function digestImage(parts: readonly ImagePart[]): Uint8Array {
  const lines = listImage(parts).map((part) =>
    part.kind === "link"
      ? `${part.inside}\0link\0${part.target}\n`
      : `${part.inside}\0file\0${measureFile(part.host)}\n`,
  );
  return new Uint8Array(hash("sha384", lines.join(""), "buffer"));
}
