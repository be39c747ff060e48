import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bucket,
  type Contents,
  commit,
  decodeEntry,
  type Entry,
  encodeEntry,
  entryFlags,
  entryKinds,
  equalBytes,
  fieldLeaf,
  fieldNode,
  fieldPath,
  fieldSalt,
  fields,
  fromHex,
  listRoot,
  openFields,
  plain,
  rootsOf,
  toHex,
  utf8,
} from "./index.ts";

const bytes = fc.uint8Array({ maxLength: 40 });
const contents = fc.record(
  Object.fromEntries(fields.map((f) => [f, fc.oneof(bytes, fc.array(bytes, { maxLength: 5 }))])),
  { requiredKeys: [] },
) as fc.Arbitrary<Contents>;
const secret = new Uint8Array(32).fill(0x11);

describe("the commitment", () => {
  const vector = JSON.parse(readFileSync(new URL("../../../spec/vectors/receipt.json", import.meta.url), "utf8")) as {
    readonly name: string;
    readonly receiptSecret: string;
    readonly contents: Record<string, { readonly utf8: string } | { readonly list: readonly string[] }>;
    readonly leaves: readonly string[];
    readonly receiptRoot: string;
    readonly requestRoot: string;
    readonly outputRoot: string;
  }[];

  test.each(vector)("$name", (v) => {
    const given = Object.fromEntries(
      Object.entries(v.contents).map(([field, c]) => [field, "utf8" in c ? utf8(c.utf8) : c.list.map(utf8)]),
    );
    const { roots, leaves } = commit(given, () => fromHex(v.receiptSecret));
    expect(leaves).toEqual(v.leaves);
    expect(roots).toEqual({ receiptRoot: v.receiptRoot, requestRoot: v.requestRoot, outputRoot: v.outputRoot });
  });

  test("its own openings open it", () => {
    fc.assert(
      fc.property(contents, (c) => {
        const { leaves, openings } = commit(c, () => secret);
        const opened = openFields({ leaves, openings });
        for (const field of fields) {
          const content = c[field];
          const value = opened.fields.get(field);
          if (content === undefined) expect(value?.kind).toBe("absent");
          else if (content instanceof Uint8Array) expect(value).toEqual({ kind: "bytes", bytes: content });
          else {
            expect(value?.kind).toBe("list");
            for (const [i, b] of (content as readonly Uint8Array[]).entries()) {
              expect(opened.elements.get(`${field}/${i}`)).toEqual(b);
            }
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("an opening of another value, salt, path or place counts as absent and is listed", () => {
    const { leaves, openings } = commit({ system: utf8("be brief"), messages: [utf8("a"), utf8("b")] }, () => secret);
    const refuses = (path: string, change: (o: (typeof openings)[number]) => (typeof openings)[number]) => {
      const opened = openFields({ leaves, openings: openings.map((o) => (o.path === path ? change(o) : o)) });
      expect(opened.faults).not.toEqual([]);
      expect(opened.fields.has(path as never) || opened.elements.has(path)).toBe(false);
    };
    refuses("system", (o) => ({ ...o, value: { bytes: "AAAA" } }));
    refuses("system", (o) => ({ ...o, value: { bytes: "not base64url!" } }));
    refuses("system", (o) => ({ ...o, value: "absent" }));
    refuses("system", (o) => ({ ...o, salt: "00".repeat(32) }));
    refuses("system", (o) => ({ ...o, path: "tools" }));
    refuses("messages/0", (o) => ({ ...o, path: "messages/1" }));
    refuses("messages/0", (o) => ({ ...o, path: "messages/2" }));
    const twice = openFields({
      leaves,
      openings: [...openings, { path: "system", salt: "00".repeat(32), value: "absent" }],
    });
    expect(twice.fields.get("system")).toEqual(plain(utf8("be brief")));
    expect(twice.faults).toEqual([{ path: "system", why: "It is opened twice." }]);
  });

  test("absent, empty, a list of none and 32 bytes that look like a root are four different leaves", () => {
    const salt = fieldSalt(secret, "output");
    const empty: Uint8Array[] = [];
    const values = [
      { kind: "absent" } as const,
      plain(new Uint8Array()),
      { kind: "list", leaves: empty } as const,
      plain(listRoot(empty)),
      { kind: "list", leaves: [listRoot(empty)] } as const,
    ];
    expect(new Set(values.map((v) => toHex(fieldLeaf("output", salt, v)))).size).toBe(values.length);
  });

  test("three hashes lead from any inner root to the receipt root, and a path from each leaf", () => {
    const { leaves, roots } = commit({ rawRequest: utf8("x") }, () => secret);
    const list = leaves.map(fromHex);
    fields.forEach((_, index) => {
      let node = list[index] as Uint8Array;
      fieldPath(list, index).forEach((sibling, level) => {
        node = (index >> level) % 2 === 0 ? fieldNode(node, sibling) : fieldNode(sibling, node);
      });
      expect(toHex(node)).toBe(roots.receiptRoot);
    });
    expect(() => rootsOf(list.slice(1))).toThrow(RangeError);
  });
});

describe("log entries", () => {
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
  const entry: fc.Arbitrary<Entry> = fc.record({
    kind: fc.constantFrom(...entryKinds),
    flags: fc.subarray([...entryFlags]),
    subject: digest,
    envelope: digest,
    issuer: digest,
    model: digest,
    tag: digest,
    deployment: digest,
    demanded: fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 4 }),
    bought: fc.integer({ min: 0, max: 65_535 }),
    delivered: fc.integer({ min: 0, max: 65_535 }),
    tokens: fc.integer({ min: 0, max: 255 }),
    value: fc.integer({ min: 0, max: 255 }),
    hour: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  });

  test("reading what was written gives the entry back; writing what was read gives the bytes back", () => {
    fc.assert(
      fc.property(entry, (e) => {
        const encoded = encodeEntry(e);
        expect(decodeEntry(encoded)).toEqual(e);
        expect(equalBytes(encodeEntry(decodeEntry(encoded)), encoded)).toBe(true);
      }),
    );
  });

  test("whatever is accepted has one encoding", () => {
    fc.assert(
      fc.property(entry, fc.nat(215), fc.integer({ min: 1, max: 255 }), (e, at, mask) => {
        const changed = encodeEntry(e);
        changed[at] = (changed[at] as number) ^ mask;
        let back: Entry;
        try {
          back = decodeEntry(changed);
        } catch {
          return;
        }
        expect(equalBytes(encodeEntry(back), changed)).toBe(true);
      }),
    );
  });

  test("buckets tell magnitudes only", () => {
    expect([0, 1, 2, 3, 4, 255, 256].map(bucket)).toEqual([0, 1, 2, 2, 3, 8, 9]);
  });
});
