// What the gateway costs: added latency, throughput against a bare proxy, and receipts a second (docs: bench/RESULTS.md).
//
// The upstream is the same in every row: a node in a thread of its own that commits and signs each run for real. Gateway
// and proxy each have a thread of their own too; the client is this thread.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import {
  type Deployment,
  encodeEntry,
  type Job,
  type Offer,
  offerDigest,
  openFields,
  parsePolicy,
  presets,
  printPolicy,
  readRun,
  requestDigest,
  demandBytes,
  signOffer,
  signRegistration,
  type Trust,
  toBase64,
  toHex,
  utf8,
} from "../packages/core/src/index.ts";
import { ed25519Signer, nodeSuite } from "../packages/core/src/node.ts";
import { openLog } from "../packages/log/src/write/index.ts";
import { openStore } from "../packages/store/src/index.ts";
import { Pool } from "../packages/gateway/node_modules/undici/index.js";
