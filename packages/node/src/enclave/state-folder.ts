import { chmod, mkdir, stat } from "node:fs/promises";
import { CountersignError } from "@countersign/core";

/**
 * Makes the state folder, or closes the one that is there to everybody else: in it lie the sockets by which the launcher
 * signs documents and the node takes requests.
 *
 * @throws CONFIG_INVALID when it belongs to another user, who could open it again
 */
export async function openStateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const { uid } = await stat(path);
  if (process.getuid !== undefined && uid !== process.getuid())
    throw new CountersignError("CONFIG_INVALID", {
      message: `The state folder ${path} belongs to another user.`,
      remedy: "Name a folder as `state` that belongs to the user who starts the enclave.",
    });
  await chmod(path, 0o700);
}
