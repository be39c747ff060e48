import { openColludingGateway } from "./colluding-gateway.ts";
import { attempt, caughtWith, type Play } from "./fraud.ts";
import { stageModels } from "./stage.ts";

/** Gateway and node sell a level and sign a statement that names less. */
export const playWeakerLevel: Play = async (stage) => {
  const gateway = await openColludingGateway(stage, (checked) => ({
    ...checked,
    offer: { ...checked.offer, guarantee: "issuer:signature" },
  }));
  try {
    const client = stage.client(gateway.url);
    const ended = await attempt(() =>
      client.chat([{ role: "user", content: "What is the capital of France?" }], {
        model: stageModels.chat,
        policy: "signature",
        synthetic: true,
      }),
    );
    const expected = "LEVEL_OVERSTATED";
    const caught = caughtWith(ended, expected);
    return {
      name: "weaker-level",
      what: "the receipt names a weaker guarantee than the offer that was paid",
      by: "a registered gateway and a registered node together",
      expected,
      caught,
      held: caught === expected && ended.status === "refused" && ended.error.code === "ASSURANCE_NOT_MET",
      detail:
        "Offer and statement contradict each other under their own signatures: refuted, and the pair is evidence that anyone can check.",
    };
  } finally {
    await gateway.close();
  }
};
