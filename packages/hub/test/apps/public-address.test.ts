import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { isPublicAddress, isPublicHost, lookupPublic } from "../../src/apps/public-address.js";

describe("an address", () => {
  it.each([
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "2a00::1",
    "64:ff9b::101:101",
    "64:ff9b::1.1.1.1",
    "64:FF9B:0:0:0:0:808:808",
  ])("%s is in the internet", (address) => expect(isPublicAddress(address)).toBe(true));

  it.each([
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.1.1",
    "198.19.0.1",
    "224.0.0.251",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:1.1.1.1",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "ff02::fb",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001::1",
    "64:ff9b::",
    "64:ff9b::1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::c0a8:0",
    "64:ff9b:1::1.1.1.1",
    "64:ff9b:0:0:0:1:101:101",
    "login.example",
    "",
  ])("%s is not", (address) => expect(isPublicAddress(address)).toBe(false));
});

describe("a host", () => {
  it.each([
    ["1.1.1.1", true],
    ["[2606:4700::1111]", true],
    ["[::1]", false],
    ["169.254.169.254", false],
    ["localhost", false],
  ] as const)("%s is public: %s", async (hostname, is) => expect(await isPublicHost(hostname)).toBe(is));

  it("of this machine is not looked up for a connection", async () => {
    for (const all of [true, false]) {
      const looked = new Promise((resolve, reject) =>
        lookupPublic("localhost", { all }, (error, address) => (error ? reject(error) : resolve(address))),
      );
      await expectCode(looked, "APP_UNAVAILABLE");
    }
  });
});
