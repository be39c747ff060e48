import { fromHex, toHex, utf8 } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { obstacleOf } from "../attestation.ts";
import { checkTdx } from "./check.ts";
import { packCollateral, readCollateral, readTcbInfo } from "./collateral.ts";
import { argsOf, makeDcap } from "./dcap.fixture.ts";
import { required } from "./refusal.fixture.ts";

const { document, collateral } = makeDcap();
const textOf = (name: string) => collateral[name] as string;
/** What Intel's service answers: the signed object among other members, with white space around it. */
const answer = (member: string, name: string) =>
  utf8(` { "${member}" : ${textOf(name)} ,\n "signature":"${textOf(`${name}_signature`).toUpperCase()}"}\n`);
const answers = {
  tcbInfo: answer("tcbInfo", "tcb_info"),
  tcbInfoChain: textOf("tcb_info_issuer_chain"),
  qeIdentity: answer("enclaveIdentity", "qe_identity"),
  qeIdentityChain: textOf("qe_identity_issuer_chain"),
  pckCrl: fromHex(textOf("pck_crl")),
  pckCrlChain: textOf("pck_crl_issuer_chain"),
  rootCrl: fromHex(textOf("root_ca_crl")),
};

describe("collateral from Intel's answers", () => {
  test("holds the signed texts as they were cut out", () => {
    const data = packCollateral(answers);
    expect(readCollateral(data)).toEqual(collateral);
    const report = checkTdx(argsOf({}, { document, collateral: [{ kind: "dcap", data }] }));
    expect(obstacleOf(report, required)).toBeUndefined();
  });

  test("keeps a spelling that no writer would give back", () => {
    const text = textOf("tcb_info").replace('"version":3', '"version" : 3 ');
    const packed = readCollateral(
      packCollateral({ ...answers, tcbInfo: utf8(`{"tcbInfo":${text},"signature":"${"ab".repeat(64)}"}`) }),
    );
    expect(packed.tcb_info).toBe(text);
    expect(readTcbInfo(text).version).toBe(3);
  });

  test("an answer that names the signed object twice is refused", () => {
    const twice = utf8(`{"tcbInfo":{},"tcbInfo":${textOf("tcb_info")},"signature":"00"}`);
    expect(() => packCollateral({ ...answers, tcbInfo: twice })).toThrow("stands twice");
    const hidden = utf8(`{"tcbInfo":{},"tcb\\u0049nfo":${textOf("tcb_info")},"signature":"00"}`);
    expect(() => packCollateral({ ...answers, tcbInfo: hidden })).toThrow("stands twice");
    expect(() => packCollateral({ ...answers, tcbInfo: utf8("{}") })).toThrow("no signed tcbInfo");
  });

  test("lists are lowercase hex", () => {
    expect(toHex(answers.pckCrl)).toBe(readCollateral(packCollateral(answers)).pck_crl);
    const upper = utf8(JSON.stringify({ ...collateral, pck_crl: textOf("pck_crl").toUpperCase() }));
    expect(() => readCollateral(upper)).toThrow("pck_crl");
  });
});
