import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { formatAddress, inSubnet, isLoopback, parseAddress } from "../src/address.js";

describe("addresses", () => {
  it.each([
    ["192.0.2.7:7443", "192.0.2.7", 7443],
    ["hub.example:1", "hub.example", 1],
    ["[2001:db8::1]:65535", "2001:db8::1", 65_535],
    ["[fe80::1%eth0]:80", "fe80::1%eth0", 80],
  ])("%s", (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress(host, port)).toBe(text);
  });

  it.each([
    "",
    "192.0.2.7",
    "192.0.2.7:",
    "192.0.2.7:0",
    "192.0.2.7:65536",
    "192.0.2.7:7443 ",
    "2001:db8::1:80",
    "[192.0.2.7]:80",
    "[::zz]:80",
    "a b:80",
    "http://a:80",
    `${"a".repeat(300)}:80`,
  ])("%s is none", async (text) => {
    await expectCode(() => parseAddress(text), "INVALID_ADDRESS");
  });

  it("knows loopback and subnets, and does not mix families", () => {
    expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].every(isLoopback)).toBe(true);
    expect(["192.0.2.1", "::2", "localhost"].some(isLoopback)).toBe(false);
    expect(inSubnet("10.0.5.9", "10.0.4.1", 23)).toBe(true);
    expect(inSubnet("10.0.6.1", "10.0.4.1", 23)).toBe(false);
    expect(inSubnet("fe80::5", "fe80::1", 64)).toBe(true);
    expect(inSubnet("::ffff:10.0.4.2", "10.0.4.1", 24)).toBe(false);
    expect(inSubnet("nonsense", "10.0.4.1", 24)).toBe(false);
  });
});
