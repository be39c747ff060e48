import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { hashNatively } from "./hash.ts";
import { hmacSha256, sha256, sha256Hex, toHex } from "./index.ts";
import "./node.ts";

const wrong = { sha256: () => new Uint8Array(32), hmacSha256: () => new Uint8Array(32) };

function agree() {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (key, bytes) => {
      expect(sha256Hex(bytes)).toBe(createHash("sha256").update(bytes).digest("hex"));
      expect(toHex(hmacSha256(key, bytes))).toBe(createHmac("sha256", key).update(bytes).digest("hex"));
      expect(sha256(bytes).constructor).toBe(Uint8Array);
      expect(hmacSha256(key, bytes).constructor).toBe(Uint8Array);
    }),
  );
}

afterAll(agree);

test("the native functions are SHA-256 and HMAC-SHA-256", agree);

test("a function that answers otherwise is never used", () => {
  hashNatively(wrong);
  agree();
  hashNatively({ sha256, hmacSha256: wrong.hmacSha256 });
  agree();
});
