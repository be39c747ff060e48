import { existsSync, readFileSync } from "node:fs";
import { fromHex, toHex } from "@countersign/core";
import { expect, test } from "vitest";
import { deriveAnswerSecrets } from "./answer-key.ts";

const folder = new URL("../../../../shared/vectors/tee/ehbp/", import.meta.url);
const given = existsSync(folder);
const read = (name: string): Record<string, string> => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const ofShared = given ? test : test.skip;
const named = (name: string) => (given ? name : `shared TEE vectors are not here: ${name}`);

ofShared(named("keys of an answer are those of the EHBP vectors"), async () => {
  const v = read("derive.json");
  const [secret, enc, nonce] = [v.exportedSecret, v.requestEnc, v.responseNonce].map((t) => fromHex(t as string)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const { key, iv } = await deriveAnswerSecrets(secret, enc, nonce);
  expect(toHex(key)).toBe(v.derivedKey);
  expect(toHex(iv)).toBe(v.derivedNonceBase);
});

ofShared(named("the EHBP vector's chunk opens under the derived keys"), async () => {
  const v = read("response-decryption.json");
  const { key, iv } = await deriveAnswerSecrets(
    fromHex(v.exportedSecret as string),
    fromHex(v.requestEnc as string),
    fromHex(v.responseNonce as string),
  );
  const sealed = fromHex(v.encryptedResponse as string);
  const chunk = sealed.slice(4);
  expect(new DataView(sealed.buffer).getUint32(0)).toBe(chunk.length);
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, aes, chunk);
  expect(toHex(new Uint8Array(plain))).toBe(v.plaintext);
});
