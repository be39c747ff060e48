import { fromHex, taggedHash, toHex, utf8 } from "@countersign/core";
import * as z from "zod";
import { type Attester, unavailable } from "./attester.ts";
import { exchange } from "./exchange.ts";

const hex = (most: number) =>
  z
    .string()
    .max(2 * most)
    .regex(/^([0-9a-f]{2})+$/);

/** The guest agent's answers; members that we do not use may stand beside them. */
const quoteShape = z.object({
  quote: hex(32_768),
  event_log: z.string().min(2).max(1_000_000),
  report_data: z.string(),
});
const keyShape = z.object({ key: hex(64) });
/** What the agent kept of the GPUs' boot-time check: JSON text, null without GPUs. */
const gpuShape = z.object({ gpu_info: z.string().max(1_000_000).nullish() });

export const dstackSocket = "/var/run/dstack.sock";
/** Name under which model digests stand in the event log, RTMR 3. */
export const modelEvent = "countersign-model";
const failed = (why: string, cause?: unknown) => unavailable("dstack", why, cause);

/**
 * A confidential VM run by dstack: TDX quotes by its guest agent's socket.
 *
 * Model digests are runtime events, extended into RTMR 3 and replayed from the event log; such a register cannot be
 * locked. GPUs were attested by the agent at boot: its word for that stands in RTMR 3 as `gpu-attestation`, not in a
 * document of its own, so a keyset made here promises no GPU.
 *
 * @param socketPath `/var/run/dstack.sock`
 */
export function dstackAttester(socketPath: string): Attester {
  const call = async <T>(path: string, body: Readonly<Record<string, string>>, shape: z.ZodType<T>): Promise<T> => {
    try {
      const text = await exchange(
        { socketPath },
        { method: "POST", path, body: JSON.stringify(body), limit: 4_194_304 },
      );
      return shape.parse(text.length === 0 ? {} : JSON.parse(text.toString("utf8")));
    } catch (cause) {
      const why =
        cause instanceof z.ZodError || cause instanceof SyntaxError
          ? "its answer cannot be read"
          : (cause as Error).message;
      throw failed(`${path}: ${why}.`, cause);
    }
  };
  return {
    platform: "dstack",
    bindsNonce: true,
    modelRegister: 3,
    async attest({ userData }) {
      const reportData = toHex(userData);
      const answer = await call("/GetQuote", { report_data: reportData }, quoteShape);
      const carried = answer.report_data.toLowerCase();
      if (!carried.startsWith(reportData) || !/^0*$/.test(carried.slice(reportData.length)))
        throw failed("/GetQuote: the quote is about other report data than was asked.");
      return {
        evidence: [{ format: "tdx", document: fromHex(answer.quote) }],
        collateral: [{ kind: "event-log", data: utf8(answer.event_log) }],
      };
    },
    async extend(register, data) {
      if (register !== 3) throw failed(`Register ${register} takes no events.`);
      await call("/EmitEvent", { event: modelEvent, payload: toHex(data) }, z.unknown());
    },
    // The agent gives the same bytes for every algorithm: a path of our own, and hashed with a label.
    async sealingKey() {
      const { key } = await call("/GetKey", { path: "countersign/sealed/v1", purpose: "sealing" }, keyShape);
      return taggedHash("countersign/sealed/v1", fromHex(key));
    },
    close: async () => undefined,
  };
}

/** What the agent kept of its GPUs' check at boot, as text for people; it is authentic only through RTMR 3's event. */
export async function dstackGpuInfo(socketPath: string): Promise<string | null> {
  try {
    const text = await exchange({ socketPath }, { method: "POST", path: "/GpuInfo", body: "{}", limit: 4_194_304 });
    return gpuShape.parse(JSON.parse(text.toString("utf8"))).gpu_info ?? null;
  } catch (cause) {
    throw failed("/GpuInfo did not answer.", cause);
  }
}
