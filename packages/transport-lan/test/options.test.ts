import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Candidate, Connection } from "@fed/core";
import { expectCode, readConnection } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLanTransport } from "../src/index.js";
import { createTestCluster, type TestCluster, type TestHub } from "./fixture/cluster.js";
import { watch } from "./fixture/raw-client.js";

const ignore = { connection: (connection: Connection) => connection.start({ message() {}, closed() {} }) };

describe("ports and addresses", () => {
  it("a port that is taken is LAN_PORT_IN_USE, with a way out", async () => {
    const cluster = await createTestCluster();
    const first = await (await cluster.hub()).transport.listen(ignore);
    const port = Number(first.addresses[0]!.split(":")[1]);
    const error = await expectCode((await cluster.hub({ port })).transport.listen(ignore), "LAN_PORT_IN_USE");
    expect(error.hint).toBeDefined();
    await first.close();
    await (await (await cluster.hub({ port })).transport.listen(ignore)).close();
  });

  it("an address of another machine is LAN_LISTEN_FAILED", async () => {
    const hub = await (await createTestCluster()).hub({ host: "203.0.113.1" });
    await expectCode(hub.transport.listen(ignore), "LAN_LISTEN_FAILED");
  });

  it("without a host it listens everywhere and offers networks before loopback, to guests too", async () => {
    const cluster = await createTestCluster();
    const { credentials, identity, authenticator } = await cluster.hub();
    const transport = createLanTransport({ credentials: () => credentials, authenticator, self: identity.hubId });
    expect(transport.guestAddresses(0)).toEqual([]);
    const listener = await transport.listen(ignore);
    const loopback = listener.addresses.findIndex((address) => address.startsWith("127."));
    expect(loopback).toBeGreaterThanOrEqual(0);
    expect(listener.addresses.slice(loopback).every((address) => /^(127\.|\[::1\])/.test(address))).toBe(true);
    expect(listener.addresses.some((address) => address.includes("fe80"))).toBe(false);
    expect(transport.guestAddresses(0)[0]).toBe(`lan:${listener.addresses[0]}`);
    const other = await cluster.hub();
    for (const address of listener.addresses) (await other.transport.dial(address)).close();
    await listener.close();
    expect(transport.guestAddresses(0)).toEqual([]);
  });

  it("ill-formed addresses are refused before anything is opened", async () => {
    const cluster = await createTestCluster();
    const hub = await cluster.hub();
    await expectCode(hub.transport.dial("nowhere"), "INVALID_ADDRESS");
    await expectCode(cluster.hub({ staticPeers: ["192.0.2.1"] }), "INVALID_ADDRESS");
  });
});

describe("credentials", () => {
  it("a leaf without its key or its CA is CREDENTIALS_INVALID, and a bad reload keeps the old ones", async () => {
    const [cluster, other] = [await createTestCluster(), await createTestCluster()];
    const good = await cluster.enrol();
    const stray = await other.enrol();
    await expectCode(
      cluster.hub({ credentials: () => ({ ...good, caCertificates: [other.ca] }) }),
      "CREDENTIALS_INVALID",
    );
    await expectCode(
      cluster.hub({ credentials: () => ({ ...good, privateKeyPem: stray.privateKeyPem }) }),
      "CREDENTIALS_INVALID",
    );
    await expectCode(cluster.hub({ credentials: () => ({ ...good, leaf: new Uint8Array(9) }) }), "CREDENTIALS_INVALID");
    let current = good;
    const hub = await cluster.hub({ credentials: () => current });
    const watched = await watch(hub.transport);
    current = { ...good, caCertificates: [] };
    await expectCode(() => hub.transport.reloadCredentials(), "CREDENTIALS_INVALID");
    (await (await cluster.hub()).transport.dial(watched.address)).close();
    await watched.close();
  });

  it("after a reload both directions use the new leaf and CAs; open connections live on", async () => {
    const [before, after] = [await createTestCluster(), await createTestCluster()];
    const authenticator = eitherOf(before, after);
    const old = await before.enrol();
    const renewed = await after.enrol();
    let current = old;
    const hub = await before.hub({ credentials: () => current, authenticator });
    const watched = await watch(hub.transport);
    const peer = await before.hub({ authenticator });
    const open = await peer.transport.dial(watched.address);
    const reader = readConnection(open);
    const newcomer = await after.hub({ authenticator });
    // It does not know the old CA any more, and the hub does not know the new one yet.
    await expectCode(newcomer.transport.dial(watched.address), "CERTIFICATE_UNTRUSTED");
    current = { ...renewed, caCertificates: [after.ca] };
    hub.transport.reloadCredentials();
    (await newcomer.transport.dial(watched.address)).close();
    await expectCode(peer.transport.dial(watched.address), "CERTIFICATE_UNTRUSTED");
    expect(reader.closedCount()).toBe(0);
    open.close();
    await watched.close();
  });

  it("a serial on a CRL is refused by OpenSSL even where trust would let it pass", async () => {
    const cluster = await createTestCluster();
    const [revoked, fine] = [await cluster.hub(), await cluster.hub()];
    const own = await cluster.enrol();
    const crl = makeCrl(cluster, revoked);
    const hub = await cluster.hub({ credentials: () => ({ ...own, crls: [crl] }) });
    const watched = await watch(hub.transport);
    (await fine.transport.dial(watched.address)).close();
    const error = await expectCode(revoked.transport.dial(watched.address), "CERTIFICATE_UNTRUSTED");
    expect(error.message).toContain("CERT_REVOKED");
    await watched.close();
  });
});

describe("candidates", () => {
  it("static peers are candidates, with discovery and without", async () => {
    const hub = await (await createTestCluster()).hub({ staticPeers: ["hub.example:7443", "192.0.2.1:1"] });
    const seen: Candidate[] = [];
    const both = Promise.withResolvers<void>();
    const discovery = hub.transport.discover((candidate) => {
      if (seen.push(candidate) === 2) both.resolve();
    });
    await both.promise;
    expect(seen).toEqual([
      { transport: "lan", address: "hub.example:7443", source: "static", present: true },
      { transport: "lan", address: "192.0.2.1:1", source: "static", present: true },
    ]);
    expect(hub.transport.discoveryState()).toEqual({ status: "off", interfaces: [] });
    await discovery.close();
  });

  it("an interface that is not there is multicast-unavailable; static peers still come", async () => {
    const discovery = { clusterTag: () => "t", acceptedTags: () => ["t"], bootId: "b", interfaces: ["nope0"] };
    const hub = await (await createTestCluster()).hub({ discovery, staticPeers: ["192.0.2.1:1"] });
    const found = Promise.withResolvers<Candidate>();
    await using _running = hub.transport.discover(found.resolve);
    expect((await found.promise).source).toBe("static");
    expect(hub.transport.discoveryState()).toMatchObject({ status: "multicast-unavailable", reason: "no-interface" });
  });

  it("hubs bound to loopback find each other there by real multicast, through garbage", async () => {
    const cluster = await createTestCluster();
    const discovery = (bootId: string) => ({ clusterTag: () => "t", acceptedTags: () => ["t"], bootId });
    const a = await cluster.hub({ discovery: discovery("a") });
    const b = await cluster.hub({ discovery: discovery("b") });
    const found = Promise.withResolvers<Candidate>();
    const gone = Promise.withResolvers<Candidate>();
    const running = a.transport.discover((candidate) => (candidate.present ? found : gone).resolve(candidate));
    const noise = createSocket("udp4");
    await new Promise<void>((resolve) => noise.bind(0, "127.0.0.1", resolve));
    noise.setMulticastInterface("127.0.0.1");
    for (const bytes of fc.sample(fc.uint8Array({ maxLength: 400 }), { numRuns: 150, seed: 3 })) {
      noise.send(bytes, 5353, "224.0.0.251");
    }
    const listener = await b.transport.listen(ignore);
    expect((await found.promise).address).toBe(listener.addresses[0]);
    expect(a.transport.discoveryState()).toMatchObject({ status: "running" });
    await listener.close();
    expect((await gone.promise).address).toBe(listener.addresses[0]);
    await running.close();
    noise.close();
  });
});

describe("a connection", () => {
  async function pair(limits = {}): Promise<[Connection, Connection, () => Promise<void>]> {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub({ limits }), await cluster.hub()];
    const accepted = Promise.withResolvers<Connection>();
    const listener = await b.transport.listen({ connection: accepted.resolve });
    const initiator = await a.transport.dial(listener.addresses[0]!);
    return [initiator, await accepted.promise, () => listener.close()];
  }

  it("takes the smaller of both sides' message limits", async () => {
    const [initiator, responder, close] = await pair({ maxMessageBytes: 10_000 });
    expect([initiator.maxMessageBytes, responder.maxMessageBytes]).toEqual([10_000, 10_000]);
    initiator.close();
    responder.close();
    await close();
  });

  it("whose sender never waits ends in SEND_QUEUE_FULL", async () => {
    const [initiator, responder, close] = await pair({ maxQueuedBytes: 500_000 });
    const reader = readConnection(initiator);
    // The responder was never started, so nothing is read.
    for (let i = 0; i < 500 && reader.closedCount() === 0; i++) {
      try {
        initiator.send(new Uint8Array(60_000));
      } catch {
        break;
      }
    }
    expect((await reader.closed)?.code).toBe("SEND_QUEUE_FULL");
    responder.close();
    await close();
  });
});

/** Accepts leaves of both clusters, as trust does while a CA is replaced. */
function eitherOf(a: TestCluster, b: TestCluster): TestCluster["authenticator"] {
  return {
    authenticate(evidence) {
      try {
        return a.authenticator.authenticate(evidence);
      } catch {
        return b.authenticator.authenticate(evidence);
      }
    },
  };
}

/** A CRL of the cluster's CA that lists the leaf of `hub`, made by openssl. */
function makeCrl(cluster: TestCluster, hub: TestHub): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "fed-crl-"));
  const file = (name: string) => join(folder, name);
  const { serialNumber } = new X509Certificate(hub.credentials.leaf);
  writeFileSync(file("ca.pem"), new X509Certificate(cluster.ca).toString());
  writeFileSync(file("ca.key"), cluster.caKeyPem);
  writeFileSync(file("index.txt"), `R\t400101000000Z\t260101000000Z\t${serialNumber}\tunknown\t/CN=x\n`);
  writeFileSync(file("number"), "01\n");
  writeFileSync(
    file("ca.cnf"),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${file("index.txt")}\ncrlnumber=${file("number")}\ndefault_crl_days=30\ndefault_md=default\n`,
  );
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  openssl(
    ...["ca", "-gencrl", "-config", file("ca.cnf"), "-cert", file("ca.pem")],
    ...["-keyfile", file("ca.key"), "-out", file("crl.pem")],
  );
  openssl("crl", "-in", file("crl.pem"), "-outform", "DER", "-out", file("crl.der"));
  const der = new Uint8Array(readFileSync(file("crl.der")));
  rmSync(folder, { recursive: true });
  return der;
}
