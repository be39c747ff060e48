import type { DatabaseSync } from "node:sqlite";
import type { Json } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";

/** Small named values, such as the checkpoint that was seen last. */
export type Facts = {
  readonly get: (name: string) => Promise<Json | undefined>;
  readonly set: (name: string, value: Json) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
};

export function openFacts(db: DatabaseSync, commits: GroupCommit): Facts {
  const get = db.prepare("SELECT value FROM facts WHERE name = ?");
  const set = db.prepare(
    "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
  );
  const remove = db.prepare("DELETE FROM facts WHERE name = ?");
  return {
    get: async (name) => {
      const row = get.get(name) as { value: string } | undefined;
      return row && (JSON.parse(row.value) as Json);
    },
    set: (name, value) =>
      commits.run(() => {
        set.run(name, JSON.stringify(value));
      }),
    remove: (name) =>
      commits.run(() => {
        remove.run(name);
      }),
  };
}
