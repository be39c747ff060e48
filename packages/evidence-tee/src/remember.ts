import { type Suite, taggedHash, toHex, utf8 } from "@countersign/core";

/** Signatures that are remembered: some three hundred documents with their chains. */
const most = 2048;

/**
 * A suite that makes each successful check of a vendor's signature once.
 *
 * Documents of one host share their chain, and the same attestation comes with every receipt of a keyset. Whole reports
 * are not kept: what they say depends on the time, the roots and the lists that are accepted, and those may have changed.
 * Whether a key made a signature over some bytes depends on nothing else, ever. So everything is judged anew each time,
 * but for this one question; it counts as the same only under one SHA-256 over all that it consists of, each part with
 * its length; only "yes" is kept, so that nobody fills the memory with what does not check; the oldest goes first.
 *
 * @example const suite = rememberVendorSignatures(nodeSuite);
 */
export function rememberVendorSignatures(suite: Suite): Suite {
  const seen = new Set<string>();
  const once = (kind: string, parts: readonly Uint8Array[], check: () => boolean): boolean => {
    const place = toHex(taggedHash("countersign/remembered-signature/v1", utf8(kind), ...parts));
    if (seen.has(place)) return true;
    const holds = check();
    if (holds) {
      const [oldest] = seen;
      if (seen.size >= most && oldest !== undefined) seen.delete(oldest);
      seen.add(place);
    }
    return holds;
  };
  return {
    ...suite,
    verifyEcdsa: (c) => once(c.curve, [c.signature, c.message, c.publicKey], () => suite.verifyEcdsa(c)),
    verifyRsa: (c) => once(`${c.scheme} ${c.hash}`, [c.signature, c.message, c.modulus], () => suite.verifyRsa(c)),
  };
}

/**
 * A suite that makes each check once, whatever comes of it: for one verdict, and thrown away with it.
 *
 * A document is tried under each entry of the trust, and for two times; one that is made to fail at its last signature
 * would make all of them slow again and again.
 */
export function answerOnce(suite: Suite): Suite {
  const answers = new Map<string, boolean>();
  const once = (kind: string, parts: readonly Uint8Array[], check: () => boolean): boolean => {
    const place = toHex(taggedHash("countersign/remembered-signature/v1", utf8(kind), ...parts));
    const answer = answers.get(place) ?? check();
    answers.set(place, answer);
    return answer;
  };
  return {
    verifyEd25519: (...c) => once("Ed25519", c, () => suite.verifyEd25519(...c)),
    verifyEcdsa: (c) => once(c.curve, [c.signature, c.message, c.publicKey], () => suite.verifyEcdsa(c)),
    verifyRsa: (c) => once(`${c.scheme} ${c.hash}`, [c.signature, c.message, c.modulus], () => suite.verifyRsa(c)),
  };
}
