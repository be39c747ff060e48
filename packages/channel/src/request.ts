import { CountersignError } from "@countersign/core";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { type AnswerOpener, type AnswerSealer, makeOpener, makeSealer } from "./answer.ts";
import { deriveAnswerSecrets } from "./answer-key.ts";
import { isLowOrder } from "./low-order.ts";
import { answerLabel, asBytes, type Bytes, requestInfo } from "./suite.ts";

const hpke = () => new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** Exactly the bytes, in a buffer of their own. */
const whole = (bytes: Uint8Array): ArrayBuffer => {
  const own = asBytes(bytes);
  return own.byteLength === own.buffer.byteLength ? own.buffer : own.slice().buffer;
};

const systemRandom = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes));

const unopened = (why: string, cause?: unknown) =>
  new CountersignError("CHANNEL_UNOPENED", {
    message: "The sealed request does not open.",
    why,
    remedy: "Fetch the node's attestation again and seal anew: its key may have changed.",
    cause,
  });

/** The key pair that opens requests. */
export type ChannelKeyPair = {
  /** 32 bytes: the public key that is attested. */
  readonly key: Uint8Array;
  readonly pair: CryptoKeyPair;
};

/** The key pair of 32 secret bytes (an X25519 private key, RFC 7748). @throws CHANNEL_MALFORMED */
export async function channelKeyPair(secret: Uint8Array): Promise<ChannelKeyPair> {
  const { kem } = hpke();
  try {
    const privateKey = await kem.deserializePrivateKey(whole(secret));
    // A pair, so that opening does not derive the public key each time.
    const probe = await publicKeyOf(privateKey);
    return { key: probe.key, pair: { privateKey, publicKey: probe.publicKey } };
  } catch (cause) {
    throw new CountersignError("CHANNEL_MALFORMED", { message: "The channel's private key is not 32 bytes.", cause });
  }
}

/** X25519 with the base point gives the public key; some platforms export none from a private key. */
async function publicKeyOf(privateKey: CryptoKey): Promise<{ readonly key: Bytes; readonly publicKey: CryptoKey }> {
  const base = new Uint8Array(32);
  base[0] = 9;
  const point = await crypto.subtle.importKey("raw", base, "X25519", true, []);
  const key = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: point }, privateKey, 256));
  return { key, publicKey: await crypto.subtle.importKey("raw", key, "X25519", true, []) };
}

/** A request that only the holder of the private key reads. */
export type SealedForKey = {
  /** 32 bytes: the encapsulated key. */
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** Opens the answer to this request. @param nonce 32 bytes: what the answer begins with. */
  readonly openAnswer: (nonce: Uint8Array) => Promise<AnswerOpener>;
};

/**
 * Seals a body to an attested key (spec/channel.md §3).
 *
 * @param args.key 32 bytes: the X25519 key of the keyset that was checked.
 * @param args.aad What else must be the same for it to open: `channelAad()`.
 * @throws CHANNEL_MALFORMED for a key that is none
 */
export async function sealRequest(args: {
  readonly key: Uint8Array;
  readonly aad: Uint8Array;
  readonly body: Uint8Array;
  readonly random?: (bytes: number) => Uint8Array;
}): Promise<SealedForKey> {
  const suite = hpke();
  if (args.key.length !== 32 || isLowOrder(args.key)) {
    throw new CountersignError("CHANNEL_MALFORMED", { message: "The channel's key is no X25519 key of full order." });
  }
  const recipientPublicKey = await suite.kem.deserializePublicKey(whole(args.key));
  const sender = await suite.createSenderContext({
    recipientPublicKey,
    info: whole(requestInfo),
    ...(args.random && { ekm: whole(args.random(32)) }),
  });
  const enc = new Uint8Array(sender.enc);
  const ciphertext = new Uint8Array(await sender.seal(whole(args.body), whole(args.aad)));
  const secret = new Uint8Array(await sender.export(whole(answerLabel), 32));
  return {
    enc,
    ciphertext,
    async openAnswer(nonce) {
      if (nonce.length !== 32) {
        throw new CountersignError("CHANNEL_MALFORMED", { message: "The sealed answer's nonce is not 32 bytes." });
      }
      return makeOpener(await deriveAnswerSecrets(secret, enc, nonce), nonce);
    },
  };
}

/** A request that was sealed to this key, opened. */
export type OpenedRequest = {
  readonly body: Uint8Array;
  /** Seals the answer to it; once. @throws CHANNEL_MALFORMED the second time */
  readonly sealAnswer: (random?: (bytes: number) => Uint8Array) => Promise<AnswerSealer>;
};

/**
 * Opens a sealed body (spec/channel.md §3). Whoever opens must refuse an `enc` that was there before.
 *
 * @throws CHANNEL_UNOPENED whatever is wrong with it: who sealed for another key, path, policy or nonce learns no more
 */
export async function openRequest(args: {
  readonly keys: ChannelKeyPair;
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly aad: Uint8Array;
}): Promise<OpenedRequest> {
  const { enc } = args;
  if (enc.length !== 32 || isLowOrder(enc)) throw unopened("Its encapsulated key is no X25519 key of full order.");
  let body: Uint8Array;
  let secret: Uint8Array;
  try {
    const recipient = await hpke().createRecipientContext({
      recipientKey: args.keys.pair,
      enc: whole(enc),
      info: whole(requestInfo),
    });
    body = new Uint8Array(await recipient.open(whole(args.ciphertext), whole(args.aad)));
    secret = new Uint8Array(await recipient.export(whole(answerLabel), 32));
  } catch (cause) {
    throw unopened("It was sealed to another key or for another request, or altered on the way.", cause);
  }
  let answered = false;
  return {
    body,
    async sealAnswer(random = systemRandom) {
      // Two answers under one request would be two texts that both open.
      if (answered) throw new CountersignError("CHANNEL_MALFORMED", { message: "This request has its answer." });
      answered = true;
      const nonce = random(32);
      return makeSealer(await deriveAnswerSecrets(secret, enc, nonce), nonce);
    },
  };
}
