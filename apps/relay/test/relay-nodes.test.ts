import { randomBytes } from "node:crypto";
import { expectCode } from "@fed/core/testing";
import { afterAll, beforeAll, describe, type ExpectStatic, expect, test } from "vitest";
import { startRelay } from "../src/index.js";
import { pinnedNode } from "../src/node-pin.js";
import { suiteKeys } from "./host-suite.js";
import { freeNodes, startNode } from "./node-cluster.js";
import { freePort, type ListeningProcess, natsMissing, startNats } from "./node-relay.js";
import { joinRawHub, type RawHub } from "./raw-hub.js";

const missing = natsMissing();
if (missing !== undefined) console.info(`skipped: several nodes behind NATS (${missing})`);

const keys = suiteKeys[0]!;
const at = (hub: RawHub) => new URL(hub.socket.url).origin;

test("a node more or less moves only that node's clusters, and all get about as many", () => {
  const nodes = ["wss://a.test", "wss://b.test", "wss://c.test", "wss://d.test"];
  const tags = Array.from({ length: 4_000 }, () => randomBytes(16).toString("base64url"));
  const counts = new Map(nodes.map((node) => [node, 0]));
  for (const tag of tags) {
    const node = pinnedNode(tag, nodes);
    counts.set(node, counts.get(node)! + 1);
    expect(pinnedNode(tag, nodes.toReversed())).toBe(node);
    const rest = nodes.filter((one) => one !== "wss://d.test");
    if (node !== "wss://d.test") expect(pinnedNode(tag, rest)).toBe(node);
  }
  for (const count of counts.values()) expect(count).toBeGreaterThan(800);
});

test("without a bus the wrong node sends a hub to the right one", async () => {
  const nodes = await freeNodes(keys.tag, 2);
  await using right = await startNode(nodes[0]!, nodes);
  await using wrong = await startNode(nodes[1]!, nodes);
  expect([right.url, wrong.url]).toEqual(nodes);
  const [a, b] = [await joinRawHub({ url: nodes[0]!, keys }), await joinRawHub({ url: nodes[1]!, keys })];
  expect([at(a), at(b)]).toEqual([nodes[0], nodes[0]]);
  a.send(b, Uint8Array.of(1));
  await expect.poll(() => b.count("recv")).toBe(1);
});

test("a list of nodes that cannot be is refused", async () => {
  const start = (node: string, nodes: string[], nats?: string) =>
    startRelay({ admissionKeys: [], several: { node, nodes, ...(nats !== undefined && { nats }) } });
  for (const [node, nodes] of [
    ["ws://a.test", ["ws://b.test"]],
    ["", []],
    ["https://a.test", ["https://a.test"]],
    ["ws://a.test/x", ["ws://a.test/x"]],
    [`ws://${"a".repeat(100)}.test`, [`ws://${"a".repeat(100)}.test`]],
  ] as const) {
    await expectCode(start(node, [...nodes]), "NODES_INVALID");
  }
  await expectCode(start("ws://a.test", ["ws://a.test"], `nats://127.0.0.1:${await freePort()}`), "NATS_UNREACHABLE");
});

describe.skipIf(missing !== undefined).concurrent("nodes that share NATS", () => {
  let nats: ListeningProcess;
  let used = 0;
  beforeAll(async () => {
    nats = await startNats();
  });
  afterAll(() => nats?.end("SIGTERM"));

  /** A hub of a cluster whose two nodes do not agree on the list: one at each. */
  async function createSplit(expect: ExpectStatic) {
    // Each test has a cluster of its own: all share one NATS.
    const keys = suiteKeys[++used]!;
    const [first, second] = (await freeNodes(keys.tag, 2)) as [string, string];
    const running = new AsyncDisposableStack();
    running.use(await startNode(first, [first, second], nats.url));
    running.use(await startNode(second, [second], nats.url));
    const a = await joinRawHub({ url: first, keys });
    const b = await joinRawHub({ url: second, keys });
    expect([at(a), at(b)]).toEqual([first, second]);
    await expect.poll(() => [a.count("peer"), b.count("peer")]).toEqual([1, 1]);
    return {
      urls: [first, second] as const,
      keys,
      a,
      b,
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  }

  test("hubs at different nodes hear of each other, exchange frames in order, and hear who left", async ({
    expect,
  }) => {
    await using scene = await createSplit(expect);
    const { a, b, keys, urls } = scene;
    const payloads = Array.from({ length: 100 }, (_, i) => new Uint8Array(40_000).fill(i));
    for (const payload of payloads) {
      a.send(b, payload);
      b.send(a, payload);
      // As a hub whose window is 512 KiB.
      if (payload[0]! % 8 === 7)
        await expect.poll(() => Math.min(a.count("recv"), b.count("recv"))).toBe(payload[0]! + 1);
    }
    await expect.poll(() => [a.count("recv"), b.count("recv")]).toEqual([100, 100]);
    expect(b.frames.flatMap((frame) => (frame.type === "recv" ? [frame.payload[0]] : []))).toEqual(
      payloads.map(([i]) => i),
    );
    const largest = randomBytes(1_048_558);
    a.send(b, largest);
    await expect.poll(() => b.count("recv")).toBe(101);
    expect(largest.equals((b.frames.at(-1) as { payload: Uint8Array }).payload)).toBe(true);

    const guest = await joinRawHub({ url: urls[1], keys, claims: { class: "guest" } });
    guest.send(a, Uint8Array.of(7));
    await expect.poll(() => a.count("recv")).toBe(101);
    a.send(guest, Uint8Array.of(8));
    await expect.poll(() => guest.count("recv")).toBe(1);

    b.close();
    await expect.poll(() => a.frames.at(-1)).toEqual({ type: "peer", route: b.route, present: false });
    a.send(b, Uint8Array.of(1));
    await expect.poll(() => a.count("noRoute")).toBe(1);
  });

  test("the newest socket of a route wins at whichever node it is", async ({ expect }) => {
    await using scene = await createSplit(expect);
    const { a, b, keys, urls } = scene;
    const newer = await joinRawHub({ url: urls[0], keys, route: b.route });
    expect((await b.closed).code).toBe(4409);
    const newest = await joinRawHub({ url: urls[1], keys, route: b.route });
    expect((await newer.closed).code).toBe(4409);
    await expect
      .poll(() => {
        a.send(newest, Uint8Array.of(1));
        return newest.count("recv");
      })
      .toBeGreaterThan(0);
    expect(a.frames.findLast((frame) => frame.type === "peer")).toMatchObject({ present: true });
  });

  test("a reader that is stuck at another node is refused more, and ended", async ({ expect }) => {
    await using scene = await createSplit(expect);
    const { a, b } = scene;
    b.socket.pause();
    const push = setInterval(() => {
      for (let i = 0; i < 8; i++) a.send(b, new Uint8Array(49_000));
    }, 25);
    await expect.poll(() => a.count("reset"), { timeout: 5_000 }).toBeGreaterThan(10);
    await expect
      .poll(() => a.frames.findLast((frame) => frame.type === "peer"), { timeout: 15_000 })
      .toMatchObject({ present: false });
    clearInterval(push);
  }, 30_000);

  test("a node that dies loses its clusters to the others, and gets them back", async ({ expect }) => {
    const nodes = await freeNodes(keys.tag, 3);
    await using running = new AsyncDisposableStack();
    const start = async (node: string) => running.use(await startNode(node, nodes, nats.url));
    const [pinned] = await Promise.all(nodes.map(start));
    const hub = await joinRawHub({ url: nodes[2]!, keys });
    expect(at(hub)).toBe(nodes[0]);
    await pinned!.end("SIGKILL");
    await hub.closed;
    let moved: RawHub | undefined;
    await expect
      .poll(async () => (moved = await joinRawHub({ url: nodes[2]!, keys, route: hub.route }).catch(() => undefined)), {
        timeout: 10_000,
      })
      .toBeDefined();
    expect(at(moved!)).toBe(nodes[1]);
    const back = await start(nodes[0]!);
    // It is sent back, and goes.
    await expect.poll(() => at(moved!), { timeout: 10_000 }).toBe(nodes[0]);
    await expect.poll(() => moved!.count("welcome")).toBe(2);
    // One that says good-bye is not waited for.
    await back.end("SIGTERM");
    const last = await joinRawHub({ url: nodes[2]!, keys });
    expect(at(last)).toBe(nodes[1]);
  }, 40_000);

  test("NATS may come and go", async ({ expect }) => {
    const own = await startNats();
    const nodes = await freeNodes(keys.tag, 2);
    await using first = await startNode(nodes[0]!, nodes, own.url);
    await using second = await startNode(nodes[1]!, [nodes[1]!], own.url);
    const [a, b] = [await joinRawHub({ url: first.url, keys }), await joinRawHub({ url: second.url, keys })];
    await expect.poll(() => a.count("peer")).toBe(1);
    await own.end("SIGKILL");
    const c = await joinRawHub({ url: first.url, keys });
    a.send(c, Uint8Array.of(1));
    await expect.poll(() => c.count("recv")).toBe(1);
    await using again = await startNats(own.port);
    await expect
      .poll(
        () => {
          b.send(c, Uint8Array.of(2));
          return c.count("recv");
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(1);
    expect(again.port).toBe(own.port);
  }, 30_000);
});
