/** Base64 by the platform (RFC 4648 §4): it may read more than the one encoding, never write another. */
export type NativeBase64 = {
  readonly encode: (bytes: Uint8Array) => string;
  /** May throw for what it cannot read. */
  readonly decode: (text: string) => Uint8Array;
};

/** From this many characters on the platform is faster than its own overhead. */
export const nativeFrom = 8192;

type Standard = {
  readonly prototype: { readonly toBase64?: (this: Uint8Array) => string };
  readonly fromBase64?: (text: string) => Uint8Array;
};

/** What newer platforms have themselves (ECMAScript's `Uint8Array` to and from base64). */
function standard(): NativeBase64 | undefined {
  const { prototype, fromBase64 } = Uint8Array as unknown as Standard;
  const { toBase64 } = prototype;
  if (!toBase64 || !fromBase64) return undefined;
  return { encode: (bytes) => toBase64.call(bytes), decode: (text) => fromBase64.call(Uint8Array, text) };
}

let native = standard();

/** Writes and reads long texts with native code from here on: `node.ts` alone calls this, once, when it is loaded. */
export function encodeNatively(given: NativeBase64): void {
  native = given;
}

/** The platform's base64, where it has one that is worth asking for this many characters. */
export const nativeFor = (characters: number): NativeBase64 | undefined =>
  characters < nativeFrom ? undefined : native;

/** The bytes of a text if it is their one encoding: what the platform reads leniently it writes otherwise. */
export function decodeStrictly({ encode, decode }: NativeBase64, text: string): Uint8Array | undefined {
  try {
    const bytes = decode(text);
    return encode(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
