import { describe, expect, it } from "vitest";
import { listLinks, type NetworkLink, usableLinks } from "../src/interfaces.js";

const link = (name: string, address: string, internal = false): NetworkLink => ({
  name,
  internal,
  addresses: [{ family: 4, address, prefixLength: 24 }],
  key: name,
});
const all = [link("lo", "127.0.0.1", true), link("eth0", "192.0.2.1"), link("wlan0", "198.51.100.1")];
const names = (links: readonly NetworkLink[]) => links.map(({ name }) => name);

describe("usableLinks", () => {
  it("takes all but loopback, loopback where it is alone, and what was asked for", () => {
    expect(names(usableLinks(all, {}))).toEqual(["eth0", "wlan0"]);
    expect(names(usableLinks(all, { host: "::" }))).toEqual(["eth0", "wlan0"]);
    expect(names(usableLinks(all.slice(0, 1), {}))).toEqual(["lo"]);
    expect(names(usableLinks(all, { names: ["lo", "wlan0"] }))).toEqual(["lo", "wlan0"]);
    expect(names(usableLinks(all, { names: ["nope"] }))).toEqual([]);
  });

  it("keeps to the interface of the bound address", () => {
    expect(names(usableLinks(all, { host: "127.0.0.1" }))).toEqual(["lo"]);
    expect(names(usableLinks(all, { host: "198.51.100.1" }))).toEqual(["wlan0"]);
  });

  it("uses at most 16", () => {
    const many = Array.from({ length: 40 }, (_, i) => link(`eth${i}`, `192.0.2.${i}`));
    expect(usableLinks(many, {}).length).toBe(16);
  });
});

describe("listLinks", () => {
  it("sees this machine's loopback, and the same key twice", () => {
    const [first, second] = [listLinks(), listLinks()];
    expect(
      first.some(({ internal, addresses }) => internal && addresses.some(({ address }) => address === "127.0.0.1")),
    ).toBe(true);
    expect(first.map(({ key }) => key)).toEqual(second.map(({ key }) => key));
  });
});
