import { once } from "node:events";
import { createServer } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { encodeUtf8, type PeerEvidence } from "@fed/core";
import { expectCode, readConnection } from "@fed/core/testing";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { secureContextOptions, tlsEvidence } from "../src/credentials.js";
import { encodeFrameHeader } from "../src/framing.js";
import { createLanTransport, dialLanGuest } from "../src/index.js";
import { encodeAccept } from "../src/verdict.js";
import { createTestCluster, type TestCluster, type TestHub } from "./fixture/cluster.js";
import { rawTcp, rawTls, type Watched, watch } from "./fixture/raw-client.js";

let cluster: TestCluster;
let watched: Watched;

beforeAll(async () => {
  cluster = await createTestCluster();
});

afterEach(async () => {
  await watched.close();
});

/** A member still gets in and can talk: whatever happened before disturbed nobody. */
async function expectHealthy(): Promise<void> {
  const member = await cluster.hub();
  const before = watched.connections;
  const connection = await member.transport.dial(watched.address);
  connection.start({ message() {}, closed() {} });
  expect(connection.peer).toBeDefined();
  connection.close();
  expect(watched.connections).toBe(before + 1);
}

async function listenAs(hub: Promise<TestHub>, options?: { guests?: boolean }): Promise<TestHub> {
  const made = await hub;
  watched = await watch(made.transport, options);
  return made;
}

describe("who is let in", () => {
  it("both sides judge the chain that the other really presented", async () => {
    const seen: PeerEvidence[] = [];
    const hub = await cluster.hub({
      authenticator: {
        authenticate(evidence) {
          seen.push(evidence);
          return cluster.authenticator.authenticate(evidence);
        },
      },
    });
    watched = await watch(hub.transport);
    const member = await cluster.hub();
    (await member.transport.dial(watched.address)).close();
    expect(seen).toEqual([{ kind: "tls", leaf: member.credentials.leaf, chain: [cluster.ca] }]);
    expect(seen[0]!.leaf).not.toBeInstanceOf(Buffer);
  });

  it("TLS 1.2 is refused", async () => {
    await listenAs(cluster.hub());
    rawTls(watched.address, await cluster.enrol(), { maxVersion: "TLSv1.2" });
    expect(await watched.nextRefusal()).toBe("TLS_FAILED");
    await expectHealthy();
  });

  it.each([
    ["a foreign ALPN", ["h2"], "TLS_FAILED"],
    ["no ALPN", undefined, "WRONG_PROTOCOL"],
  ])("%s is refused", async (_, ALPNProtocols, code) => {
    await listenAs(cluster.hub());
    rawTls(watched.address, await cluster.enrol(), { ALPNProtocols } as object);
    expect(await watched.nextRefusal()).toBe(code);
    await expectHealthy();
  });

  it("a client without a certificate is refused", async () => {
    await listenAs(cluster.hub());
    rawTls(watched.address, undefined);
    expect(await watched.nextRefusal()).toBe("CERTIFICATE_MISSING");
    await expectHealthy();
  });

  it("a hub of another cluster is refused at both ends with trust's code", async () => {
    await listenAs(cluster.hub());
    const stranger = await (await createTestCluster()).hub();
    await expectCode(stranger.transport.dial(watched.address), "LEAF_UNTRUSTED");
    expect(await watched.nextRefusal()).toBe("LEAF_UNTRUSTED");
    expect(watched.connections).toBe(0);
  });

  it("a certificate that trust lets pass but the CAs do not verify is refused", async () => {
    const other = await createTestCluster();
    const stranger = await other.hub();
    const identity = stranger.identity;
    const gullible = await cluster.hub({ authenticator: { authenticate: () => identity } });
    watched = await watch(gullible.transport);
    const dialled = createLanTransport({
      credentials: () => stranger.credentials,
      authenticator: { authenticate: () => gullible.identity },
      self: stranger.hubId,
    }).dial(watched.address);
    await expectCode(dialled, "CERTIFICATE_UNTRUSTED");
    expect(await watched.nextRefusal()).toBe("CERTIFICATE_UNTRUSTED");
  });

  it("a hub does not connect to itself", async () => {
    const hub = await listenAs(cluster.hub());
    await expectCode(hub.transport.dial(watched.address), "SELF_CONNECTION");
    expect(watched.connections).toBe(0);
  });

  it("no session can be resumed, where an ordinary server resumes it", async () => {
    const hub = await listenAs(cluster.hub());
    const credentials = await cluster.enrol();
    const { key, cert, ca } = secureContextOptions(hub.credentials);
    const ordinary = createTlsServer({ key, cert, ca, ALPNProtocols: ["fed/1"] }, (socket) => socket.write("x"));
    await once(ordinary.listen(0, "127.0.0.1"), "listening");
    const ordinaryAddress = `127.0.0.1:${(ordinary.address() as { port: number }).port}`;

    async function resumes(address: string): Promise<boolean> {
      const first = rawTls(address, credentials);
      // Without tickets OpenSSL still hands out references; they must lead nowhere.
      const [session] = (await once(first, "session")) as [Buffer];
      first.destroy();
      const again = rawTls(address, credentials, { session });
      await once(again, "secureConnect");
      const reused = again.isSessionReused();
      again.destroy();
      return reused;
    }

    expect(await resumes(ordinaryAddress)).toBe(true);
    expect(await resumes(watched.address)).toBe(false);
    ordinary.close();
  });

  it("a session that was resumed all the same proves nothing", async () => {
    await listenAs(cluster.hub());
    await expectCode(() => tlsEvidence({ isSessionReused: () => true } as TLSSocket), "SESSION_RESUMED");
  });
});

describe("what a listening hub survives", () => {
  it("silence, before and after TLS, ends in HANDSHAKE_TIMEOUT", async () => {
    await listenAs(cluster.hub({ limits: { handshakeTimeoutMs: 1_000 } }));
    const silent = await rawTcp(watched.address);
    expect(await watched.nextRefusal()).toBe("HANDSHAKE_TIMEOUT");
    await once(silent, "close");
    rawTls(watched.address, await cluster.enrol());
    expect(await watched.nextRefusal()).toBe("HANDSHAKE_TIMEOUT");
    await expectHealthy();
  });

  it("a dial to something that accepts and stays silent ends in HANDSHAKE_TIMEOUT", async () => {
    watched = await watch((await cluster.hub()).transport);
    const hasty = await cluster.hub({ limits: { handshakeTimeoutMs: 100 } });
    const server = createServer(() => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    await expectCode(hasty.transport.dial(`127.0.0.1:${port}`), "HANDSHAKE_TIMEOUT");
    server.close();
  });

  it("random bytes instead of TLS", async () => {
    await listenAs(cluster.hub());
    const samples = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 300 }), { numRuns: 30, seed: 7 });
    for (const bytes of samples) {
      const socket = await rawTcp(watched.address);
      socket.end(bytes);
      expect(await watched.nextRefusal()).toBe("TLS_FAILED");
    }
    await expectHealthy();
  });

  it.each([
    ["random bytes", Uint8Array.of(0, 0, 0, 3, 9, 9, 9), "HANDSHAKE_MALFORMED"],
    ["an empty frame", Uint8Array.of(0, 0, 0, 0), "FRAME_EMPTY"],
    ["a frame over the verdict's limit", Uint8Array.of(0, 0, 255, 255), "FRAME_TOO_LARGE"],
  ])("%s instead of a verdict", async (_, bytes, code) => {
    await listenAs(cluster.hub());
    const socket = rawTls(watched.address, await cluster.enrol());
    socket.write(bytes);
    expect(await watched.nextRefusal()).toBe(code);
    expect(watched.connections).toBe(0);
    await expectHealthy();
  });

  it.each([
    ["a frame over the limit", [0xff, 0xff, 0xff, 0xff], "FRAME_TOO_LARGE"],
    ["an empty frame", [0, 0, 0, 0], "FRAME_EMPTY"],
    ["half a frame and the end", [0, 0, 0, 9, 1], "FRAME_TRUNCATED"],
  ])("%s on a finished connection ends that one in a typed error", async (_, tail, code) => {
    const hub = await cluster.hub();
    const accepted = Promise.withResolvers<Parameters<Parameters<typeof hub.transport.listen>[0]["connection"]>[0]>();
    const listener = await hub.transport.listen({ connection: accepted.resolve });
    watched = await watch((await cluster.hub()).transport);
    const socket = rawTls(listener.addresses[0]!, await cluster.enrol());
    const verdict = encodeAccept(1_048_576);
    socket.write(Buffer.concat([encodeFrameHeader(verdict.length), verdict, Buffer.from("\0\0\0\x02hi", "latin1")]));
    const reader = readConnection(await accepted.promise);
    expect(await reader.next()).toEqual(encodeUtf8("hi"));
    socket.end(Uint8Array.from(tail));
    expect((await reader.closed)?.code).toBe(code);
    await listener.close();
  });

  it("a flood of silent sockets is capped, and ends with the flood", async () => {
    await listenAs(cluster.hub({ limits: { maxPending: 8 } }));
    const flood = await Promise.all(Array.from({ length: 40 }, () => rawTcp(watched.address)));
    expect(await watched.nextRefusal()).toBe("TOO_MANY_CONNECTIONS");
    const capped = Promise.withResolvers<void>();
    let closed = flood.filter((socket) => socket.closed).length;
    const onClose = () => ++closed === 32 && capped.resolve();
    for (const socket of flood) if (!socket.closed) socket.once("close", onClose);
    if (closed < 32) await capped.promise;
    expect(closed).toBe(32);
    // One line for the whole flood, not one for each.
    expect(watched.refusals().filter((code) => code === "TOO_MANY_CONNECTIONS").length).toBe(1);
    for (const socket of flood) socket.destroy();
    for (let i = 0; i < 8; i++) expect(await watched.nextRefusal()).toBe("TLS_FAILED");
    await expectHealthy();
  });
});

describe("guests", () => {
  const anybody = { authenticateResponder() {} };

  it("are refused without a door for them, and told so", async () => {
    await listenAs(cluster.hub());
    await expectCode(dialLanGuest(`lan:${watched.address}`, anybody), "GUEST_REFUSED");
    expect(await watched.nextRefusal()).toBe("GUEST_REFUSED");
  });

  it("see leaf and CA, stay within their caps, and make room by leaving", async () => {
    const hub = await listenAs(cluster.hub(), { guests: true });
    const chains: (readonly Uint8Array[])[] = [];
    const dial = () => dialLanGuest(`lan:${watched.address}`, { authenticateResponder: (chain) => chains.push(chain) });
    const inside = await Promise.all([dial(), dial(), dial(), dial()]);
    expect(chains[0]).toEqual([hub.credentials.leaf, cluster.ca]);
    expect(inside[0]!.maxMessageBytes).toBe(65_536);
    await expectCode(dial(), "GUEST_LIMIT");
    const reader = readConnection(inside[0]!);
    inside[0]!.close();
    await reader.closed;
    for (;;) {
      const next = await dial().catch((error: { code: string }) => error.code);
      // The place is free once the server has seen the end, a moment later.
      if (typeof next === "object") break;
      expect(next).toBe("GUEST_LIMIT");
    }
  });

  it("are shown out when they stay too long", async () => {
    await listenAs(cluster.hub({ limits: { guestLifetimeMs: 50 } }), { guests: true });
    const guest = await dialLanGuest(`lan:${watched.address}`, anybody);
    await readConnection(guest).closed;
  });

  it("need an address of the right form", async () => {
    await listenAs(cluster.hub());
    await expectCode(dialLanGuest(watched.address, anybody), "INVALID_ADDRESS");
  });
});
