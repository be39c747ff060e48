// Prints spec/vectors/receipt.json. Frozen: run it to see that it would still print the same, not to change it.
import { commit, fromHex, utf8 } from "@countersign/core";

type Case = {
  readonly name: string;
  readonly contents: Readonly<Record<string, { readonly utf8: string } | { readonly list: readonly string[] }>>;
};
const cases: readonly Case[] = [
  {
    name: "two plain fields, the others absent (the reference's vector)",
    contents: { rawRequest: { utf8: '{"model":"m","messages":[]}' }, output: { utf8: "yes" } },
  },
  { name: "nothing at all", contents: {} },
  {
    name: "lists of none, one and three elements beside an empty value",
    contents: {
      tools: { list: [] },
      messages: { list: ["one"] },
      output: { list: ["a", "", "é😀"] },
      system: { utf8: "" },
    },
  },
];
const receiptSecret = "11".repeat(32);
const vectors = cases.map(({ name, contents }) => {
  const given = Object.fromEntries(
    Object.entries(contents).map(([f, c]) => [f, "utf8" in c ? utf8(c.utf8) : c.list.map(utf8)]),
  );
  const { leaves, roots } = commit(given, () => fromHex(receiptSecret));
  return { name, receiptSecret, contents, leaves, ...roots };
});
console.log(JSON.stringify(vectors, null, 2));
