import "./strict-schemas.ts";
import { fetchJson, isServed, readNetwork } from "./api.ts";
import { mountCheck } from "./check-panel.ts";
import { byId, fill, h } from "./dom.ts";
import { mountFeed } from "./feed.ts";
import { mountModels } from "./models.ts";
import { mountPageNote } from "./page-note.ts";
import { mountTheme } from "./theme.ts";

mountTheme(byId("theme"));
mountCheck(byId("check"));
mountFeed(byId("log"));
mountModels(byId("models"));
mountPageNote(byId("page"));

if (isServed) {
  fetchJson("v1/network").then(
    (value) => {
      const found = readNetwork(value);
      if (!found) return;
      const line = byId("network");
      line.hidden = false;
      line.classList.toggle("development", found.development);
      fill(
        line,
        found.development && h("strong", {}, "Development network. "),
        `This gateway says that it serves ${found.network}.`,
        found.development && " Keys, chain and hardware are stand-ins; the money is play money.",
      );
    },
    () => undefined,
  );
}
