import { expect, it } from "vitest";
import { crc32c } from "../src/crc32c.js";

it("gives the checksums of RFC 3720 appendix B.4", () => {
  const ascending = new Uint8Array(32).map((_, i) => i);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(ascending)).toBe(0x46dd794e);
  expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c);
  expect(crc32c(ascending.subarray(0, 5), ascending.subarray(5))).toBe(0x46dd794e);
});
