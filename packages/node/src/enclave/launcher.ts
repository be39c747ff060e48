import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CountersignError, fromBase64, type Hex, measurementId, sha256Hex, toHex } from "@countersign/core";
import { makeNitroAuthority } from "@countersign/evidence-tee/make";
import { type NodeConfig, parseNodeConfig } from "../config.ts";
import { type Booted, measuredConfigShape, revive } from "./boot.ts";
import { withoutCore } from "./core-limit.ts";
import { runtimeFlags } from "./flags.ts";
import { buildImage, type EnclaveImage } from "./image.ts";
import { type ImageSeal, sealImage } from "./image-seal.ts";
import { requireUnused, serveEnclave } from "./launcher-socket.ts";
import { machineHome, openMachine } from "./machine.ts";
import { measure } from "./measure.ts";
import { refuseUpstreams } from "./measure-models.ts";
import { readProvenance } from "./provenance.ts";
import { openRegisters } from "./registers.ts";
import { openRelay } from "./relay.ts";
import { type Isolation, insidePlaces, isolationFor, sandboxArguments, type Tier } from "./sandbox.ts";
import { openStateFolder } from "./state-folder.ts";
import { requireUndisturbed } from "./undisturbed.ts";

/** A simulated enclave that serves. */
export type RunningLauncher = {
  readonly url: string;
  /** The receipt key, born inside. */
  readonly key: Hex;
  readonly attestation: Uint8Array;
  /** SHA-256 of the private root's DER: what a development trust names. */
  readonly root: Hex;
  /** `measurementId` of PCR 0, 1 and 2. */
  readonly measurement: Hex;
  readonly tier: Tier;
  /** What is missing for the next tier, or null. */
  readonly missing: string | null;
  /** Process of the enclave, or of the sandbox around it. */
  readonly pid: number;
  /** Resolves with the reason when the enclave has ended. */
  readonly ended: Promise<string>;
  readonly close: () => Promise<void>;
};

/** How an enclave is started. */
export type LaunchOptions = {
  readonly token: string;
  readonly newKeys?: boolean;
  readonly now?: () => number;
  /** Milliseconds until it must serve. */
  readonly deadline?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The program inside: another one is another measurement. */
  readonly entry?: string;
  /** Watches over what was measured. */
  readonly seal?: (image: EnclaveImage) => ImageSeal;
};

const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
const ours = extension === ".ts" ? "src" : "dist";
const packageFolder = fileURLToPath(new URL("../..", import.meta.url));
const defaultEntry = fileURLToPath(new URL(`./simulated-main${extension}`, import.meta.url));

/**
 * Plays the hypervisor for one enclave: measures what it starts, starts it apart from the host as far as this machine
 * can, answers its calls for documents and registers, and relays a port to it. It never sees the enclave's keys by any
 * call; that its owner could read the enclave's memory is what makes it a simulation.
 *
 * @throws CONFIG_INVALID, TEE_UNAVAILABLE, TEE_SEALED_ELSEWHERE, PORT_IN_USE, and what fails inside
 */
export async function launchEnclave(given: NodeConfig, options: LaunchOptions): Promise<RunningLauncher> {
  const config = parseNodeConfig(given);
  const { token, now = Date.now, env = process.env, entry = defaultEntry } = options;
  if (token.length < 16)
    throw new CountersignError("CONFIG_INVALID", { message: "The token needs at least 16 characters." });
  requireUndisturbed((flag) => !/^--?(?:inspect|debug)/.test(flag));
  refuseUpstreams(config);
  const isolation = isolationFor(config.enclave?.sandbox ?? "auto");
  const provenance = await readProvenance(config.enclave?.provenance);
  const machine = await openMachine(config.enclave?.home ?? machineHome(env), now());
  const image = buildImage(packageFolder, ours);
  // Before it is measured: whatever is written while that goes on counts as a change.
  const seal = (options.seal ?? sealImage)(image);
  const { registration: _r, catalogue: _c, state: _s, host: _h, port: _p, enclave: _e, ...rest } = config;
  const measured = measuredConfigShape.parse(rest);
  const flags = runtimeFlags();
  // What is served, at which price and for whom stands in signed deployments and offers, and the models in PCR 16: were it
  // measured here, a price would cost the node its keys, and no two operators would run the same code.
  const { deployments: _d, gateways: _g, ...lasting } = measured;
  const pcrs = measure(image, { config: lasting, entry: image.inside(entry), flags, tier: isolation.tier });
  const registers = openRegisters(pcrs);
  const authority = makeNitroAuthority({ root: machine.root });

  await openStateFolder(config.state);
  const state = await realpath(config.state);
  const catalogue = await realpath(config.catalogue);
  // A socket's path has 107 bytes at most, wherever the state lies: the host goes by a short name for it.
  const short = await mkdtemp(join(tmpdir(), "cse-"));
  const near = join(short, "s");
  await symlink(state, near);
  const sockets = { launcher: join(near, "launcher.sock"), node: join(near, "node.sock") };
  let child: ChildProcess | undefined;
  let changed: string | undefined;
  // Documents speak of what was measured. Where that is no longer what lies here, nobody knows what runs or will be loaded.
  const requireSame = () => {
    try {
      seal.require();
    } catch (error) {
      changed = `was ended: ${CountersignError.is(error) ? error.detail.message : String(error)}`;
      console.error(`The enclave ${changed}`);
      child?.kill("SIGKILL");
      throw error;
    }
  };
  const cleanup: (() => Promise<unknown>)[] = [() => rm(short, { recursive: true, force: true })];
  const close = async () => {
    for (const act of cleanup.splice(0).reverse()) await act();
  };
  try {
    for (const path of Object.values(sockets)) await requireUnused(path);
    const seen = isolation.bwrap ? insidePlaces : { catalogue, state: near };
    const socket = await serveEnclave(
      sockets.launcher,
      {
        config: measured,
        places: { catalogue: seen.catalogue, state: seen.state, serve: `${seen.state}/node.sock` },
        token,
        provenance,
        sealingKey: toHex(machine.sealingKey(pcrs)),
        newKeys: options.newKeys ?? false,
      },
      {
        attest: (args) => {
          requireSame();
          return authority.document({ ...args, pcrs: registers.locked(), at: now() });
        },
        extend: registers.extend,
        lock: registers.lock,
      },
    );
    cleanup.push(socket.close);
    child = start(isolation, image, { catalogue, state }, [
      ...flags,
      isolation.bwrap ? image.inside(entry) : entry,
      `${seen.state}/launcher.sock`,
    ]);
    const ended = endOf(child).then((how) => changed ?? how);
    cleanup.push(async () => {
      child?.kill("SIGKILL");
      await ended;
    });
    // What it said before it ended may arrive after the news that it has.
    const early = ended.then((how) => (socket.isStarted() ? socket.booted : endedEarly(how)));
    const word = await withDeadline(Promise.race([socket.booted, early]), options.deadline ?? 120_000);
    if (word.status === "failed") throw revive(word.code, word.message);
    const relay = await openRelay({ host: config.host ?? "127.0.0.1", port: config.port ?? 0 }, sockets.node);
    cleanup.push(relay.close);
    const [pcr0, pcr1, pcr2] = pcrs.map(toHex) as [Hex, Hex, Hex];
    return {
      url: relay.url,
      key: word.key,
      attestation: fromBase64(word.attestation),
      root: sha256Hex(machine.root.der),
      measurement: measurementId("nitro", { pcr0, pcr1, pcr2 }),
      tier: isolation.tier,
      missing: isolation.missing,
      pid: child.pid ?? 0,
      ended,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function start(
  { bwrap }: Isolation,
  image: EnclaveImage,
  places: { readonly catalogue: string; readonly state: string },
  command: readonly string[],
): ChildProcess {
  const [program, args] = bwrap
    ? withoutCore(bwrap, sandboxArguments(image, places, command))
    : withoutCore(process.execPath, command);
  // What it prints goes to the launcher's errors: its output holds the launcher's own line alone.
  return spawn(program, args, { env: {}, stdio: ["ignore", 2, 2] });
}

const endOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once("error", (error) => resolve(`it could not be started: ${error.message}`));
    child.once("exit", (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with status ${code}`));
  });

const endedEarly = (how: string): Booted => ({
  status: "failed",
  code: "TEE_UNAVAILABLE",
  message: `The enclave ended before it served: ${how}.`,
});

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new CountersignError("TEE_UNAVAILABLE", { message: `The enclave did not serve within ${ms / 1000} s.` }),
        ),
      ms,
    );
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
