/** What every host of the relay must do, whatever it runs on. */
import { type Connection, encodeUtf8, randomBytes } from "@fed/core";
import { readConnection } from "@fed/core/testing";
import { deriveRelayKeys, formatAdmissionKey, type RelayKeys } from "@fed/transport-relay";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createTestHubs, type TestHub } from "../../../packages/transport-relay/test/memory-relay.js";
import { residentBytes } from "./node-relay.js";
import { openRawHub, type RawHub, type RawHubOptions } from "./raw-hub.js";

/** A host that runs, with the default limits but for the times below. */
export interface RunningHost {
  /** After how long a stuck reader is closed. */
  readonly slowReaderMs: number;
  /** The relay's URLs: hubs may use any. */
  readonly urls: readonly string[];
  pids(): Promise<readonly number[]>;
  /** Goes away the way this host does when its operator replaces it, and comes back. */
  restart(): Promise<void>;
  /** Is killed, and comes back. */
  kill(): Promise<void>;
  /** Puts a cluster to sleep, where the host does that. */
  hibernate?(tag: string): Promise<void>;
  close(): Promise<void>;
}

/** Clusters that a host of this suite must admit. */
export const suiteKeys: readonly RelayKeys[] = Array.from({ length: 17 }, (_, i) =>
  deriveRelayKeys(new Uint8Array(32).fill(i + 1)),
);
/** Their keys, as an operator gets them. */
export const suiteAdmissionKeys = suiteKeys.map(({ admissionPublicKey }) => formatAdmissionKey(admissionPublicKey));

const keys = suiteKeys[0]!;
const mebibyte = 1_048_576;

/** Runs the suite over a host. */
export function testRelayHost(name: string, start: () => Promise<RunningHost>): void {
  describe(name, () => {
    let host: RunningHost;
    const raw: RawHub[] = [];
    const hubs: TestHub[] = [];
    let turn = 0;
    const url = () => host.urls[turn++ % host.urls.length]!;

    beforeAll(async () => {
      host = await start();
    }, 240_000);
    afterAll(() => host?.close());
    afterEach(async () => {
      for (const hub of raw.splice(0)) hub.close();
      for (const hub of hubs.splice(0)) await hub.transport.close();
    });

    function open(options: Partial<RawHubOptions> = {}): RawHub {
      const hub = openRawHub({ url: url(), keys, ...options });
      raw.push(hub);
      return hub;
    }
    async function join(options: Partial<RawHubOptions> = {}): Promise<RawHub> {
      const hub = open(options);
      await hub.admitted;
      return hub;
    }
    async function startHubs(accept: (connection: Connection) => void = () => {}): Promise<[TestHub, TestHub]> {
      const connect = (to: string, protocols: string[]) => new WebSocket(to, protocols, { perMessageDeflate: false });
      const pair = createTestHubs(["a", "b"], { relays: [url()], relayKeys: keys, connect }) as [TestHub, TestHub];
      hubs.push(...pair);
      for (const { transport } of pair) await transport.listen({ connection: accept });
      return pair;
    }
    /** What `hub` was last told of another. */
    const presence = (hub: RawHub, of: RawHub) => {
      const last = hub.frames.findLast((frame) => frame.type === "peer" && Buffer.from(frame.route).equals(of.route));
      return last?.type === "peer" ? last.present : undefined;
    };

    test("hubs join, hear of each other, exchange frames, and hear who left", async () => {
      const a = await join();
      const b = await join();
      await expect.poll(() => [presence(a, b), presence(b, a)]).toEqual([true, true]);
      const payload = randomBytes(50_000);
      a.send(b, payload);
      await expect.poll(() => b.count("recv")).toBe(1);
      expect(b.frames.at(-1)).toEqual({ type: "recv", route: a.route, payload });
      for (let i = 0; i < 200; i++) a.send(b, Uint8Array.of(i));
      await expect.poll(() => b.count("recv")).toBe(201);
      const order = b.frames.flatMap((frame) =>
        frame.type === "recv" && frame.payload.length === 1 ? [frame.payload[0]] : [],
      );
      expect(order).toEqual(Array.from({ length: 200 }, (_, i) => i));
      b.close();
      await expect.poll(() => presence(a, b)).toBe(false);
      a.send(b, Uint8Array.of(1));
      await expect.poll(() => a.count("noRoute")).toBe(1);
    });

    test("clusters never see each other, and a guest reaches hubs only", async () => {
      const a = await join();
      const stranger = await join({ keys: suiteKeys[1]! });
      const guests = [await join({ claims: { class: "guest" } }), await join({ claims: { class: "guest" } })] as const;
      stranger.send(a, Uint8Array.of(1));
      guests[0].send(guests[1], Uint8Array.of(1));
      guests[0].send(a, Uint8Array.of(2));
      await expect
        .poll(() => [stranger.count("noRoute"), guests[0].count("noRoute"), a.count("recv")])
        .toEqual([1, 1, 1]);
      a.send(guests[0], Uint8Array.of(3));
      await expect.poll(() => guests[0].count("recv")).toBe(1);
      expect([a.count("peer"), stranger.count("peer"), guests[1].count("recv")]).toEqual([0, 0, 0]);
    });

    test("two hubs talk end to end", async () => {
      const accepted = Promise.withResolvers<Connection>();
      const [a, b] = await startHubs(accepted.resolve);
      const near = await a.transport.dial(b.identity.hubId);
      const reader = readConnection(await accepted.promise);
      readConnection(near);
      near.send(encodeUtf8("hello"));
      expect(await reader.next()).toEqual(encodeUtf8("hello"));
    });

    test("a connection goes on where it was after its cluster slept, where the host lets it sleep", async () => {
      const accepted = Promise.withResolvers<Connection>();
      const [a, b] = await startHubs(accepted.resolve);
      const near = await a.transport.dial(b.identity.hubId);
      const far = await accepted.promise;
      const [reader, back] = [readConnection(far), readConnection(near)];
      for (let i = 0; i < 3; i++) {
        for (let part = 0; part < 4; part++) near.send(new Uint8Array(60_000).fill(4 * i + part));
        far.send(Uint8Array.of(i));
        for (let part = 0; part < 4; part++) expect((await reader.next())[0]).toBe(4 * i + part);
        expect(await back.next()).toEqual(Uint8Array.of(i));
        await host.hibernate?.(keys.tag);
      }
      expect([reader.closedCount(), back.closedCount()]).toEqual([0, 0]);
    });

    const now = () => Math.floor(Date.now() / 1000);
    test.each<[string, string, () => Partial<RawHubOptions>]>([
      ["an expired token", "TOKEN_EXPIRED", () => ({ claims: { notBefore: now() - 100, expires: now() - 1 } })],
      ["another relay's token", "TOKEN_AUDIENCE", () => ({ claims: { audience: "wss://other.test" } })],
      ["a cluster that is not admitted", "TOKEN_KEY_UNKNOWN", () => ({ keys: deriveRelayKeys(randomBytes(32)) })],
      ["another cluster's tag", "TOKEN_INVALID", () => ({ claims: { tag: suiteKeys[1]!.tag } })],
      ["no token", "TOKEN_INVALID", () => ({ token: encodeUtf8("a.b.c") })],
      ["a wrong answer to the challenge", "ADMISSION_REFUSED", () => ({ prove: () => new Uint8Array(64) })],
    ])("%s is not admitted, and is told why", async (_name, cause, options) => {
      const { code, reason } = await open(options()).closed;
      expect([code, reason.split(" ")[0]]).toEqual([4401, cause]);
    });

    test("an answer to an earlier challenge is worth nothing", async () => {
      let answer: Uint8Array | undefined;
      const victim = await join({
        prove(hub, challenge) {
          answer = hub.challengeAnswer(challenge);
          return answer;
        },
      });
      const { code, reason } = await open({ route: victim.route, prove: () => answer! }).closed;
      expect([code, reason.split(" ")[0]]).toEqual([4401, "ADMISSION_REFUSED"]);
      expect(victim.socket.readyState).toBe(WebSocket.OPEN);
    });

    test("of two sockets for one route the newest wins, and the other is told", async () => {
      const other = await join();
      const first = await join();
      const second = await join({ route: first.route });
      expect(await first.closed).toEqual({ code: 4409, reason: "RELAY_REPLACED" });
      other.send(second, Uint8Array.of(1));
      await expect.poll(() => second.count("recv")).toBe(1);
      expect(presence(other, second)).toBe(true);
    });

    test("a message that is too large, and one that is nonsense, end that socket alone", async () => {
      const other = await join();
      const [large, odd, talkative] = [await join(), await join(), await join()];
      large.socket.send(new Uint8Array(mebibyte + 1));
      odd.socket.send(Uint8Array.of(0xff, 0));
      talkative.socket.send("hello");
      expect([1009, 4403]).toContain((await large.closed).code);
      expect((await odd.closed).code).toBe(4400);
      expect((await talkative.closed).code).toBe(4400);
      expect(other.socket.readyState).toBe(WebSocket.OPEN);
    });

    test("a keepalive is answered", async () => {
      const hub = await join();
      const answer = new Promise((resolve) => {
        hub.socket.on(
          "message",
          (data, isBinary) => void (isBinary || resolve(Buffer.from(data as ArrayBuffer).toString())),
        );
      });
      hub.socket.send("p");
      expect(await answer).toBe("q");
    });

    test("a flood of sockets that are not let in keeps nobody out and costs little", async () => {
      const [a, b] = [await join(), await join()];
      const before = Math.max(...(await host.pids()).map(residentBytes));
      const flood = [
        ...Array.from({ length: 300 }, () => open({ keys: deriveRelayKeys(randomBytes(32)) })),
        ...Array.from({ length: 300 }, () => open({ prove: null })),
      ];
      // All of them are there first: one whose SYN was lost in the crowd would come a second later, and count as newer.
      const { CONNECTING } = WebSocket;
      await expect.poll(() => flood.some(({ socket }) => socket.readyState === CONNECTING)).toBe(false);
      const late = await join();
      late.send(b, Uint8Array.of(1));
      a.send(b, Uint8Array.of(2));
      await expect.poll(() => b.count("recv")).toBe(2);
      // Not admitted, too many of them at once, or silent after HELLO.
      const codes = await Promise.all(flood.map(async (hub) => (await hub.closed).code));
      expect(codes.filter((code) => ![4401, 4402, 4430].includes(code))).toEqual([]);
      expect(Math.max(...(await host.pids()).map(residentBytes)) - before).toBeLessThan(600 * 262_144);
    });

    test("a reader that is stuck is closed in the end; until then others keep their latency and memory stays", async () => {
      const [sender, stuck, a, b] = [await join(), await join(), await join(), await join()];
      const memory = async () => Math.max(...(await host.pids()).map(residentBytes));
      const answers: (() => void)[] = [];
      b.onFrame((frame) => {
        if (frame.type === "recv") answers.shift()?.();
      });
      const latencyMs = async () => {
        const sentMs = performance.now();
        const answered = new Promise<void>((resolve) => void answers.push(resolve));
        a.send(b, Uint8Array.of(1));
        await answered;
        return performance.now() - sentMs;
      };
      // The same traffic to a reader that reads: what grows beyond is what the stall costs.
      let before = 0;
      const usual: number[] = [];
      for (let i = 0; i < 400; i++) {
        sender.send(a, new Uint8Array(49_000));
        if (i % 4 < 3) continue;
        await expect.poll(() => a.count("recv") + sender.count("reset"), { interval: 5 }).toBe(i + 1);
        before = Math.max(before, await memory());
        usual.push(await latencyMs());
      }
      a.frames.length = 0;
      const startMs = performance.now();
      stuck.socket.pause();
      let sent = 100;
      for (let i = 0; i < sent; i++) sender.send(stuck, new Uint8Array(49_000));
      const push = setInterval(() => {
        for (let i = 0; i < 12; i++, sent++) sender.send(stuck, new Uint8Array(49_000));
      }, 25);
      const latencies: number[] = [];
      const grown: number[] = [];
      while (presence(a, stuck) !== false && performance.now() - startMs < 20_000) {
        latencies.push(await latencyMs());
        await new Promise((resolve) => setTimeout(resolve, 20));
        grown.push((await memory()) - before);
      }
      clearInterval(push);
      const stuckMs = performance.now() - startMs;
      // The middle: what a collector leaves lying for a moment is not held.
      const heldBytes = grown.sort((x, y) => x - y)[grown.length >> 1]!;
      const [p50, p99, usualP99] = [percentile(latencies, 50), percentile(latencies, 99), percentile(usual, 99)];
      console.info(
        `${name}: stuck for ${(stuckMs / 1000).toFixed(1)} s, ${sent} sent, ${sender.count("reset")} refused; ` +
          `others p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, before ${usualP99.toFixed(1)} ms; memory +${(heldBytes / mebibyte).toFixed(1)} MiB, at most +${(grown.at(-1)! / mebibyte).toFixed(1)}`,
      );
      expect(stuckMs).toBeGreaterThan(host.slowReaderMs);
      expect(stuckMs).toBeLessThan(host.slowReaderMs + 3_000);
      expect(sender.count("reset")).toBeGreaterThan(100);
      expect(sent * 49_000).toBeGreaterThan(40 * mebibyte);
      expect(heldBytes).toBeLessThan(24 * mebibyte);
      // A machine that is busy with other things is slow before as well, but not without end.
      expect(p99).toBeLessThan(Math.min(1_000, Math.max(150, 4 * usualP99)));
      stuck.socket.resume();
      expect((await stuck.closed).code).not.toBe(1000);
    }, 40_000);

    test("a thousand sockets are held, and each is reached", async () => {
      const startMs = performance.now();
      const clusters = await Promise.all(
        suiteKeys.slice(1).map(async (clusterKeys) => {
          const members: RawHub[] = [];
          for (let i = 0; i < 63; i++) members.push(await join({ keys: clusterKeys }));
          return members;
        }),
      );
      const joinedMs = performance.now() - startMs;
      expect(clusters.flat().length).toBe(1_008);
      for (const members of clusters)
        members.forEach((hub, i) => void hub.send(members[(i + 1) % 63]!, Uint8Array.of(i)));
      await expect.poll(() => clusters.flat().every((hub) => hub.count("recv") === 1)).toBe(true);
      console.info(`${name}: 1,008 sockets joined in ${(joinedMs / 1000).toFixed(1)} s`);
    }, 40_000);

    test.each(["restart", "kill"] as const)(
      "hubs come back after a %s, and talk",
      async (how) => {
        const [a, b] = await startHubs();
        const { closed } = readConnection(await a.transport.dial(b.identity.hubId));
        await host[how]();
        expect(["RELAY_RESTARTING", "RELAY_LOST"]).toContain((await closed)?.code);
        const states = () => [a, b].map(({ transport }) => transport.relayStates[0]!.status);
        await expect.poll(states, { timeout: 20_000 }).toEqual(["up", "up"]);
        const again = await a.transport.dial(b.identity.hubId);
        expect(again.peer?.hubId).toBe(b.identity.hubId);
      },
      40_000,
    );
  });
}

/** The value that `percent` of `values` do not exceed. */
function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1]!;
}
