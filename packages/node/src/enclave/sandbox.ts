import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { CountersignError } from "@countersign/core";
import type { EnclaveImage, ImagePart } from "./image.ts";

/** How far the enclave is apart from its host. None withstands the host itself. */
export type Tier = "process" | "process+bubblewrap";

/** What separates an enclave here, and what is missing for more. */
export type Isolation = { readonly tier: Tier; readonly bwrap: string | null; readonly missing: string | null };

/** Namespaces and privileges: no network, no processes, no users but its own; gone when the launcher goes. */
const walls = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"] as const;

const without =
  "The enclave is a plain process: it could reach the network and read the files of this user, and nothing but its code keeps it from that.";

function findProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((f) => f !== "");
  return folders.map((f) => join(f, name)).find(existsSync);
}

/** Looks whether bubblewrap is here and can build what we need: a container or a kernel setting may forbid it. */
export function findIsolation(): Isolation {
  const bwrap = findProgram("bwrap");
  const process_ = (missing: string): Isolation => ({ tier: "process", bwrap: null, missing: `${missing} ${without}` });
  if (process.platform !== "linux") return process_("Bubblewrap runs on Linux alone.");
  if (bwrap === undefined) return process_("bwrap is not installed (package bubblewrap).");
  const tried = spawnSync(bwrap, [...walls, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"], {
    encoding: "utf8",
  });
  if (tried.status === 0) return { tier: "process+bubblewrap", bwrap, missing: null };
  const why = (tried.stderr || tried.error?.message || "no reason given").trim().split("\n")[0];
  return process_(`bwrap is installed and cannot make a sandbox: ${why}.`);
}

/** The isolation that the configuration asks for. @throws TEE_UNAVAILABLE when it requires a sandbox and there is none */
export function isolationFor(wish: "auto" | "require" | "none"): Isolation {
  if (wish === "none") return { tier: "process", bwrap: null, missing: "The configuration says: no sandbox." };
  const found = findIsolation();
  if (wish === "auto" || found.bwrap !== null) return found;
  throw new CountersignError("TEE_UNAVAILABLE", {
    message: "The configuration requires a sandbox and there is none.",
    why: found.missing ?? undefined,
    remedy: "Install bubblewrap, or set enclave.sandbox to auto.",
  });
}

/** Where things are inside the sandbox. */
export const insidePlaces = { catalogue: "/catalogue", state: "/enclave", runtime: "/runtime/node" } as const;

const bindOf = (part: ImagePart): readonly string[] => {
  if (part.kind === "link") return ["--symlink", part.target, part.inside];
  const hidden =
    part.kind === "tree" ? part.without.flatMap((p) => ["--tmpfs", `${part.inside}${p.slice(part.host.length)}`]) : [];
  return ["--ro-bind", part.host, part.inside, ...hidden];
};

/**
 * Arguments for bubblewrap: the image and the catalogue read-only, one folder to write to (sockets and sealed state),
 * nothing else of the host, everything but that folder read-only.
 */
export function sandboxArguments(
  image: EnclaveImage,
  places: { readonly catalogue: string; readonly state: string },
  command: readonly string[],
): readonly string[] {
  return [
    ...walls,
    ...["--hostname", "enclave"],
    ...[...image.runtime, ...image.code].flatMap(bindOf),
    ...["--ro-bind", places.catalogue, insidePlaces.catalogue],
    ...["--bind", places.state, insidePlaces.state],
    ...["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/"],
    // llama.cpp's binding asks for a home and writes nothing to it.
    ...[
      "--setenv",
      "PATH",
      "/runtime",
      "--setenv",
      "HOME",
      "/nonexistent",
      "--chdir",
      "/app",
      "--",
      insidePlaces.runtime,
    ],
    ...command,
  ];
}
