import { expect, test } from "vitest";
import { closeCode, closeError, formatRedirect, parseRedirect, refusalOf } from "../src/close-code.js";
import { RelayError } from "../src/errors.js";

test("a relay may send to another host, to nothing else", () => {
  const from = "wss://relay.test/x";
  expect(parseRedirect(formatRedirect("wss://two.test:444"), from)).toBe("wss://two.test:444/x");
  expect(parseRedirect(formatRedirect("wss://two.test/y?z"), from)).toBe("wss://two.test/x");
  const bad = [
    "ws://two.test",
    "https://two.test",
    "wss://a:b@two.test",
    "wss://relay.test",
    "two.test",
    "wss:// two",
    "",
  ];
  for (const url of bad) expect(parseRedirect(formatRedirect(url), from), url).toBeUndefined();
  expect(parseRedirect("RELAY_FULL wss://two.test", from)).toBeUndefined();
});

test("every refusal says why in its close", () => {
  const refusal = (code: "FRAME_TOO_LARGE" | "FRAME_MALFORMED" | "TOKEN_EXPIRED") =>
    refusalOf(new RelayError({ code, message: "." }));
  expect(refusal("FRAME_TOO_LARGE")).toEqual({ code: 4403, reason: "FRAME_TOO_LARGE retry-after=60" });
  expect(refusal("FRAME_MALFORMED")).toEqual({ code: 4400, reason: "FRAME_MALFORMED retry-after=60" });
  expect(refusal("TOKEN_EXPIRED")).toEqual({ code: 4401, reason: "TOKEN_EXPIRED retry-after=10" });
  expect(refusalOf(new TypeError("x")).code).toBe(closeCode.malformed);
  expect(closeError(closeCode.elsewhere, "RELAY_ELSEWHERE x").code).toBe("RELAY_ELSEWHERE");
});
