import { encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decideExchange,
  emptyList,
  encodeAnnouncement,
  encodeListMessage,
  maxListEntries,
  maxRevocationMessageBytes,
  parseRevocationMessage,
  signList,
  verifyList,
} from "../src/index.js";
import { createCluster } from "./fixtures.js";

describe("messages", () => {
  it("carry a number", () => {
    expect(encodeAnnouncement(7)).toEqual(encodeUtf8('{"revocations":7}'));
    expect(parseRevocationMessage(encodeAnnouncement(7))).toEqual({ revocations: 7 });
    expect(parseRevocationMessage(encodeAnnouncement(maxListEntries))).toEqual({ revocations: maxListEntries });
  });

  it("carry a list", () => {
    const { manifest, clusterId, founder } = createCluster();
    const signed = signList(emptyList(clusterId), [founder]);
    const message = parseRevocationMessage(encodeListMessage(signed));
    expect(message).toEqual({ list: signed });
    if ("list" in message) expect(verifyList(message.list, { manifest, clusterId }).list.number).toBe(0);
  });

  it.each([
    "",
    "7",
    "null",
    "[]",
    "{}",
    '{"revocations":-1}',
    '{"revocations":1.5}',
    '{"revocations":"1"}',
    '{"revocations":100001}',
    '{"revocations":1,"list":{}}',
    '{"revocations":1,"revocations":2}',
    '{"other":1}',
  ])("are refused when they read %s", async (text) => {
    await expectCode(() => parseRevocationMessage(encodeUtf8(text)), "REVOCATION_MALFORMED");
  });

  it("are refused over their limit, and end in a RevocationError whatever they hold", async () => {
    await expectCode(
      () => parseRevocationMessage(new Uint8Array(maxRevocationMessageBytes + 1).fill(0x20)),
      "REVOCATION_MALFORMED",
    );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.json().map(encodeUtf8)), (bytes) => {
        try {
          const message = parseRevocationMessage(bytes);
          expect("list" in message || Number.isSafeInteger(message.revocations)).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: "REVOCATION_MALFORMED" });
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("decideExchange", () => {
  it("has the larger list sent, once, and only when they differ", () => {
    expect(decideExchange(3, 2)).toBe("send");
    expect(decideExchange(2, 3)).toBe("fetch");
    expect(decideExchange(3, 3)).toBe("nothing");
    expect(decideExchange(0, 0)).toBe("nothing");
  });
});
