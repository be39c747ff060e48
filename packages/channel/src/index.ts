export type { AnswerOpener, AnswerSealer } from "./answer.ts";
export {
  clearFields,
  type PrivatePart,
  readPrivatePart,
  readSealedAnswer,
  readSealedEvent,
  writePrivatePart,
  writeSealedAnswer,
  writeSealedChunk,
  writeSealedNonce,
} from "./answer-body.ts";
export {
  type ClearPart,
  channelAad,
  clearPart,
  isSealedBody,
  parseSealedBody,
  requireSameClear,
  type SealedRequest,
  writeSealedBody,
} from "./body.ts";
export type { ChunkKind } from "./chunk.ts";
export {
  type ChannelKeyPair,
  channelKeyPair,
  type OpenedRequest,
  openRequest,
  type SealedForKey,
  sealRequest,
} from "./request.ts";
export { channelSuite } from "./suite.ts";
