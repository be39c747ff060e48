import { concat } from "@countersign/core";

/** The bytes of a node's answer, at most so many. @throws Error past them */
export async function readBounded(response: Response, most: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > most) throw new Error(`More than ${most} bytes.`);
    parts.push(part);
  }
  return concat(...parts);
}
