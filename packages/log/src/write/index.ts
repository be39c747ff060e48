export { readDirectory } from "./directory.ts";
export { fsckDirectory } from "./fsck.ts";
export { nativeSha256 } from "./native-hash.ts";
export type { Appended, Head, LogWriter, OpenLogOptions } from "./options.ts";
export { openLog } from "./sequencer.ts";
export { serveLog } from "./serve.ts";
export { createWitness, type Witness, type WitnessOptions } from "./witness.ts";
export { cosignBy, type ProveFrom, submitCheckpoint } from "./witness-client.ts";
export { memoryWitnessStore, openWitnessStore, type WitnessStore } from "./witness-store.ts";
