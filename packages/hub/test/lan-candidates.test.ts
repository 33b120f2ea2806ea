import { once } from "node:events";
import { createServer } from "node:net";
import { encodeUtf8, type PeerIdentity, type Session, type Stream } from "@fed/core";
import { createMemorySessionPair } from "@fed/core/memory";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { startRelay } from "@fed/relay";
import { describe, expect, it } from "vitest";
import { createLanCandidates, type LanCandidates } from "../src/cluster/lan-candidates.js";
import { TestFleet } from "./fleet.js";

function identityOf(hubId: string): PeerIdentity {
  return { hubId, clusterId: "c", name: hubId, thumbprint: "t", serial: "1", spki: "s" };
}

/** One hub: what its LAN would say, and what it is told. */
class Side {
  readonly offered: [string, readonly string[]][] = [];
  readonly refused: string[] = [];
  readonly candidates: LanCandidates;
  say: (addresses: readonly string[]) => void = () => {};
  watching = 0;

  constructor(clock: TestClock, addresses: readonly string[]) {
    this.candidates = createLanCandidates({
      lan: {
        watchAddresses: (changed) => {
          this.watching++;
          this.say = changed;
          changed(addresses);
          return () => void this.watching--;
        },
        offerAddresses: (hubId, theirs) => void this.offered.push([hubId, theirs]),
      },
      clock,
      onRefused: (_peer, error) => void this.refused.push(error.code),
    });
  }
}

async function connect(a: Side, b: Side): Promise<readonly [Session, Session]> {
  const serving = (side: Side, session: () => Session) => ({
    stream: (stream: Stream) => side.candidates.serve(session(), stream),
  });
  const sessions: readonly [Session, Session] = await createMemorySessionPair(
    { identity: identityOf("a"), handler: serving(a, () => sessions[0]) },
    { identity: identityOf("b"), handler: serving(b, () => sessions[1]) },
  );
  return sessions;
}

describe("LAN addresses over a session", () => {
  it("both sides tell theirs, and again when they change, heard once a second", async () => {
    const clock = createTestClock();
    const [a, b] = [new Side(clock, ["192.0.2.1:7443"]), new Side(clock, ["192.0.2.2:7443", "[fe80::2]:7443"])];
    const [session] = await connect(a, b);
    a.candidates.start(session);
    await expect.poll(() => [a.offered.length, b.offered.length]).toEqual([1, 1]);
    expect(a.offered).toEqual([["b", ["192.0.2.2:7443", "[fe80::2]:7443"]]]);
    expect(b.offered).toEqual([["a", ["192.0.2.1:7443"]]]);
    a.say([]);
    a.say(["192.0.2.9:7443"]);
    await clock.advance(1_000);
    await expect.poll(() => b.offered.length).toBe(2);
    await clock.advance(1_000);
    await expect.poll(() => b.offered.at(-1)).toEqual(["a", ["192.0.2.9:7443"]]);
    session.close();
    await expect.poll(() => [a.watching, b.watching]).toEqual([0, 0]);
    expect([...a.refused, ...b.refused]).toEqual([]);
  });

  it.each([
    ["no JSON", "nonsense", "INVALID_JSON"],
    ["another shape", '{"lan":"192.0.2.1:1"}', "REQUEST_INVALID"],
    ["addresses that are no texts", '{"lan":[1]}', "REQUEST_INVALID"],
    ["an address that is too long", JSON.stringify({ lan: ["x".repeat(65)] }), "REQUEST_INVALID"],
    ["too many", JSON.stringify({ lan: Array(9).fill("192.0.2.1:1") }), "REQUEST_INVALID"],
    ["too much", `{"lan":[]${" ".repeat(2_000)}}`, "TOO_LARGE"],
  ])("refuses %s", async (_what, text, code) => {
    const clock = createTestClock();
    const [a, b] = [new Side(clock, []), new Side(clock, [])];
    const [session] = await connect(a, b);
    const stream = session.open(encodeUtf8('{"k":"lan","v":1}'));
    await stream.send(encodeUtf8(text));
    expect((await stream.closed)?.code).toBe(code);
    expect(b.refused).toEqual([code]);
    expect(b.offered).toEqual([]);
  });

  it("refuses a second stream on a session", async () => {
    const clock = createTestClock();
    const [a, b] = [new Side(clock, []), new Side(clock, [])];
    const [session] = await connect(a, b);
    a.candidates.start(session);
    const second = session.open(encodeUtf8('{"k":"lan","v":1}'));
    expect((await second.closed)?.code).toBe("REQUEST_INVALID");
  });
});

describe("where multicast is blocked", () => {
  it("hubs that only a relay connects come to talk over the LAN", async () => {
    await using fleet = new TestFleet();
    const port = await freePort();
    const relays = [`ws://127.0.0.1:${port}`];
    const founding = await fleet.hub("pc1", { relays });
    await founding.cluster.create({ name: "home" });
    await using _relay = await startRelay({ port, admissionKeys: [founding.cluster.status().relayAdmissionKey] });
    await expect.poll(() => founding.cluster.status().relays[0]?.status, { timeout: 20_000 }).toBe("up");
    const joining = await fleet.hub("pc2", { relays });
    await joining.cluster.join(await founding.cluster.invite());
    await joining.close();
    await founding.close();

    const lan = { listen: { host: "127.0.0.1", port: 0 }, discovery: false };
    const pc1 = await fleet.hub("pc1", { relays, lan });
    const pc2 = await fleet.hub("pc2", { relays, lan });
    const paths = () => [pc1.cluster.peers()[0], pc2.cluster.peers()[0]].map((peer) => peer?.path);
    await expect.poll(paths, { timeout: 20_000 }).toEqual(["lan", "lan"]);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
