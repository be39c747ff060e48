import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";

test.each(["151", "99999999", "-1", "many", ""])(
  "P11: a charge of %j against a price of 150 is refused",
  async (amount) => {
    const { client } = meet({ payment: { amount, transaction: null } });
    expect(await refusalOf(client.chat(question))).toEqual(["OVERCHARGED"]);
  },
);

test("P11: the price itself is fine", async () => {
  expect((await meet({ payment: { amount: "150", transaction: null } }).client.chat(question)).text).toBe("Paris");
});
