import { concatBytes, encodeBase64Url, encodeUtf8, randomBytes } from "@fed/core";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { expect, test } from "vitest";
import { type CapabilityClaims, challengeInput, seedSigner, signCapabilityToken } from "../src/capability-token.js";
import { ed25519PublicKey } from "../src/ed25519-node.js";
import {
  closeCode,
  createRelayCore,
  decodeFrame,
  deriveRelayKeys,
  encodeFrame,
  type Frame,
  type RelayCore,
  type RelayKeys,
  type RelayLimits,
  type RelayPlace,
  type RelaySocket,
} from "../src/index.js";

const origin = "wss://relay.test";
const clusterA = deriveRelayKeys(new Uint8Array(32).fill(1));
const clusterB = deriveRelayKeys(new Uint8Array(32).fill(2));

class Client implements RelaySocket {
  readonly frames: Frame[] = [];
  readonly seed = randomBytes(32);
  readonly route: Uint8Array;
  bufferedBytes = 0;
  closedWith: { code: number; reason: string } | undefined;
  place: RelayPlace | undefined;

  readonly relay: Relay;
  constructor(relay: Relay, route = randomBytes(16)) {
    this.relay = relay;
    this.route = route;
  }
  send(bytes: Uint8Array): void {
    if (this.closedWith === undefined) this.frames.push(decodeFrame(bytes.slice()));
  }
  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
  }
  admitted(place: RelayPlace): void {
    this.place = place;
  }
  say(frame: Frame): void {
    this.relay.core.message(this, encodeFrame(frame));
  }
  /** Hello with these claims; answers the challenge unless told not to. */
  join(
    options: { keys?: RelayKeys; signer?: RelayKeys; claims?: Partial<CapabilityClaims>; prove?: boolean } = {},
  ): this {
    const { keys = clusterA, prove = true } = options;
    const notBefore = Math.floor(this.relay.clock.nowMs() / 1000) - 300;
    const claims: CapabilityClaims = {
      audience: origin,
      tag: keys.tag,
      route: this.route,
      holderKey: ed25519PublicKey(this.seed),
      class: "hub",
      notBefore,
      expires: notBefore + 86_400,
      ...options.claims,
    };
    this.relay.core.open(this);
    const token = signCapabilityToken(claims, seedSigner((options.signer ?? keys).admissionSecretKey));
    this.say({ type: "hello", token: encodeUtf8(token) });
    if (prove && this.closedWith === undefined) this.prove(claims.tag);
    return this;
  }
  prove(tag = clusterA.tag): void {
    const challenge = this.last("challenge").challenge;
    this.say({ type: "proof", signature: seedSigner(this.seed)(challengeInput(origin, tag, this.route, challenge)) });
  }
  last<T extends Frame["type"]>(type: T): Frame & { readonly type: T } {
    const found = this.frames.findLast((frame) => frame.type === type);
    expect(found, `a ${type} frame`).toBeDefined();
    return found as Frame & { readonly type: T };
  }
  count(type: Frame["type"]): number {
    return this.frames.filter((frame) => frame.type === type).length;
  }
}

interface Relay {
  readonly core: RelayCore;
  readonly clock: TestClock;
}

function createRelay(limits: Partial<RelayLimits> = {}, keys: readonly RelayKeys[] = [clusterA, clusterB]): Relay {
  const clock = createTestClock();
  const admissionKeys = () => keys.map((key) => key.admissionPublicKey);
  return { clock, core: createRelayCore({ admissionKeys, origin, clock, limits }) };
}

test("two hubs of a cluster are admitted, hear of each other and exchange frames", () => {
  const relay = createRelay();
  const a = new Client(relay).join();
  const b = new Client(relay).join();
  expect(a.last("peer")).toMatchObject({ route: b.route, present: true });
  expect(b.last("peer")).toMatchObject({ route: a.route, present: true });
  a.say({ type: "send", route: b.route, payload: Uint8Array.of(1, 2) });
  expect(b.last("recv")).toEqual({ type: "recv", route: a.route, payload: Uint8Array.of(1, 2) });
  relay.core.closed(b);
  expect(a.last("peer")).toMatchObject({ route: b.route, present: false });
  a.say({ type: "send", route: b.route, payload: Uint8Array.of(1) });
  expect(a.last("noRoute").route).toEqual(b.route);
  expect(relay.core.stats()).toMatchObject({ forwardedFrames: 1, forwardedBytes: 2, droppedFrames: 1 });
});

test.each<[string, string, Parameters<Client["join"]>[0], number?]>([
  ["an expired token", "TOKEN_EXPIRED", { claims: { notBefore: 1_700_000_000, expires: 1_700_000_100 } }],
  ["a token not valid yet", "TOKEN_EXPIRED", { claims: { notBefore: 1_800_000_400, expires: 1_800_000_500 } }],
  ["a token for longer than a day", "TOKEN_INVALID", { claims: { expires: 1_800_100_000 } }],
  ["another relay's token", "TOKEN_AUDIENCE", { claims: { audience: "wss://other.test" } }],
  ["an unknown cluster", "TOKEN_KEY_UNKNOWN", { keys: deriveRelayKeys(new Uint8Array(32).fill(9)) }],
  ["a tag of another cluster than the key's", "TOKEN_INVALID", { keys: clusterB, signer: clusterA }],
  ["a class that does not exist", "TOKEN_INVALID", { claims: { class: "admin" as "hub" } }],
])("%s is not admitted", (_name, reason, join) => {
  const relay = createRelay();
  const client = new Client(relay).join(join);
  expect(client.closedWith).toMatchObject({ code: closeCode.notAdmitted });
  expect(client.closedWith!.reason.split(" ")[0]).toBe(reason);
  expect(client.frames).toEqual([]);
  expect(relay.core.stats()).toMatchObject({ hubs: 0, awaiting: 0, refusedAdmissions: 1 });
});

test("without admission keys nobody is admitted", () => {
  const client = new Client(createRelay({}, [])).join();
  expect(client.closedWith?.reason).toContain("TOKEN_KEY_UNKNOWN");
});

test("a challenge is answered once, by the token's key, in time", async () => {
  const relay = createRelay();
  const good = new Client(relay).join();
  const thief = new Client(relay, good.route).join({ prove: false });
  // The old answer belongs to the old challenge.
  const old = good.last("challenge").challenge;
  const signature = seedSigner(good.seed)(challengeInput(origin, clusterA.tag, good.route, old));
  thief.say({ type: "proof", signature });
  expect(thief.closedWith?.reason).toContain("ADMISSION_REFUSED");
  expect(good.closedWith).toBeUndefined();

  const silent = new Client(relay).join({ prove: false });
  const mute = new Client(relay);
  relay.core.open(mute);
  await relay.clock.advance(4_999);
  expect(silent.closedWith).toBeUndefined();
  await relay.clock.advance(1);
  expect(silent.closedWith?.code).toBe(closeCode.admissionTimeout);
  expect(mute.closedWith?.code).toBe(closeCode.admissionTimeout);
  expect(relay.core.stats().awaiting).toBe(0);
});

test("nothing is carried before admission, and only so many may await it", () => {
  const relay = createRelay({ maxAwaiting: 2 });
  const a = new Client(relay).join();
  const early = new Client(relay);
  relay.core.open(early);
  early.say({ type: "send", route: a.route, payload: Uint8Array.of(1) });
  expect(early.closedWith?.code).toBe(closeCode.malformed);
  expect(a.count("recv")).toBe(0);
  const waiting = [new Client(relay), new Client(relay), new Client(relay)];
  for (const client of waiting) relay.core.open(client);
  expect(waiting.map((client) => client.closedWith?.code)).toEqual([closeCode.full, undefined, undefined]);
});

test("a stranger who fills the places of those who await admission keeps nobody out", () => {
  const relay = createRelay({ maxAwaiting: 4 });
  const stranger = () => relay.core.open(new Client(relay));
  for (let i = 0; i < 100; i++) stranger();
  const honest = new Client(relay).join({ prove: false });
  for (let i = 0; i < 3; i++) stranger();
  honest.prove();
  expect(honest.count("welcome")).toBe(1);
  expect(relay.core.stats()).toMatchObject({ hubs: 1, awaiting: 3 });
});

test("clusters never see each other", () => {
  const relay = createRelay();
  const route = randomBytes(16);
  const a = new Client(relay, route).join();
  const b = new Client(relay).join({ keys: clusterB });
  const sameRoute = new Client(relay, route).join({ keys: clusterB });
  expect(a.closedWith).toBeUndefined();
  expect(a.count("peer")).toBe(0);
  b.say({ type: "send", route, payload: Uint8Array.of(7) });
  expect(sameRoute.count("recv")).toBe(1);
  expect(a.count("recv")).toBe(0);
  a.say({ type: "send", route: b.route, payload: Uint8Array.of(7) });
  expect(a.last("noRoute").route).toEqual(b.route);
});

test("a guest reaches hubs only, is not announced, and ends with its token", async () => {
  const relay = createRelay();
  const hub = new Client(relay).join();
  const expires = Math.floor(relay.clock.nowMs() / 1000) + 60;
  const guests = [new Client(relay), new Client(relay)].map((guest) =>
    guest.join({ claims: { class: "guest", expires } }),
  );
  expect(hub.count("peer")).toBe(0);
  expect(guests[1]!.count("peer")).toBe(0);
  guests[0]!.say({ type: "send", route: guests[1]!.route, payload: Uint8Array.of(1) });
  expect(guests[0]!.last("noRoute").route).toEqual(guests[1]!.route);
  guests[0]!.say({ type: "send", route: hub.route, payload: Uint8Array.of(1) });
  hub.say({ type: "send", route: guests[0]!.route, payload: Uint8Array.of(2) });
  expect(hub.last("recv").route).toEqual(guests[0]!.route);
  expect(guests[0]!.last("recv").payload).toEqual(Uint8Array.of(2));
  await relay.clock.advance(60_000);
  guests[0]!.say({ type: "send", route: hub.route, payload: Uint8Array.of(1) });
  expect(guests[0]!.closedWith?.code).toBe(closeCode.expired);
  hub.say({ type: "send", route: guests[1]!.route, payload: Uint8Array.of(2) });
  expect(guests[1]!.closedWith?.code).toBe(closeCode.expired);
  expect(hub.last("noRoute").route).toEqual(guests[1]!.route);
});

test("the newest socket of a route wins and the loser is told", () => {
  const relay = createRelay();
  const other = new Client(relay).join();
  const first = new Client(relay).join();
  const second = new Client(relay, first.route).join();
  expect(first.closedWith).toEqual({ code: closeCode.replaced, reason: "RELAY_REPLACED" });
  relay.core.closed(first);
  expect(other.frames.filter((frame) => frame.type === "peer" && !frame.present)).toEqual([]);
  other.say({ type: "send", route: first.route, payload: Uint8Array.of(1) });
  expect(second.count("recv")).toBe(1);
});

test("a destination that does not acknowledge holds at most its credit, and is closed when stuck", async () => {
  const relay = createRelay();
  const sender = new Client(relay).join();
  const slow = new Client(relay).join();
  const payload = new Uint8Array(64 * 1024);
  for (let i = 0; i < 40; i++) sender.say({ type: "send", route: slow.route, payload });
  // One sender alone takes seven tenths, and leaves the rest to others.
  expect(slow.count("recv")).toBe(11);
  expect(sender.count("reset")).toBe(29);
  expect(sender.last("reset")).toMatchObject({ route: slow.route, reason: 1 });
  expect(relay.core.stats().outstandingBytes).toBe(11 * payload.length);
  slow.say({ type: "ack", processedBytes: payload.length });
  sender.say({ type: "send", route: slow.route, payload });
  expect(slow.count("recv")).toBe(12);
  await relay.clock.advance(10_001);
  sender.say({ type: "send", route: slow.route, payload });
  expect(slow.closedWith?.code).toBe(closeCode.slowReader);
  expect(relay.core.stats().outstandingBytes).toBe(0);
});

test("a reader that had nothing to read is not stuck, however long that was", async () => {
  const relay = createRelay();
  const sender = new Client(relay).join();
  const reader = new Client(relay).join();
  await relay.clock.advance(60_000);
  for (let i = 0; i < 17; i++) sender.say({ type: "send", route: reader.route, payload: new Uint8Array(64 * 1024) });
  expect(reader.count("recv")).toBe(11);
  expect(sender.last("reset")).toMatchObject({ route: reader.route, reason: 1 });
  expect(reader.closedWith).toBeUndefined();
});

test("acknowledging what was never sent ends the socket", () => {
  const relay = createRelay();
  const client = new Client(relay).join();
  client.say({ type: "ack", processedBytes: 1 });
  expect(client.closedWith?.code).toBe(closeCode.malformed);
});

test("throttling is announced before anything is dropped", async () => {
  const relay = createRelay({ socketMessages: { perSecond: 10, burst: 10 } });
  const sender = new Client(relay).join();
  const receiver = new Client(relay).join();
  const say = () => sender.say({ type: "send", route: receiver.route, payload: Uint8Array.of(1) });
  for (let i = 0; i < 10; i++) say();
  expect(sender.count("rate")).toBe(0);
  say();
  expect(sender.last("rate").waitMs).toBe(100);
  for (let i = 0; i < 9; i++) say();
  expect([receiver.count("recv"), sender.count("rate"), sender.count("reset")]).toEqual([20, 1, 0]);
  say();
  expect(sender.last("reset")).toMatchObject({ reason: 2 });
  await relay.clock.advance(2_000);
  say();
  expect(receiver.count("recv")).toBe(21);
});

test("a socket that ignores its rate takes nothing from the others of its cluster", async () => {
  const relay = createRelay({
    socketMessages: { perSecond: 10, burst: 10 },
    clusterMessages: { perSecond: 40, burst: 40 },
    socketBytes: { perSecond: 1_000, burst: 1_000 },
    clusterBytes: { perSecond: 4_000, burst: 4_000 },
  });
  const [flood, sender, receiver] = [new Client(relay).join(), new Client(relay).join(), new Client(relay).join()];
  for (const payload of [new Uint8Array(1), new Uint8Array(500)]) {
    for (let i = 0; i < 1_000; i++) flood.say({ type: "send", route: receiver.route, payload });
  }
  const before = receiver.count("recv");
  sender.say({ type: "send", route: receiver.route, payload: Uint8Array.of(1) });
  receiver.say({ type: "ack", processedBytes: 1 });
  expect(receiver.count("recv")).toBe(before + 1);
  expect([sender.count("rate"), sender.count("reset"), receiver.closedWith]).toEqual([0, 0, undefined]);
  flood.say({ type: "ack", processedBytes: 0 });
  expect(flood.closedWith?.code).toBe(closeCode.rateExceeded);
});

test("acknowledging is never punished for what others of the cluster send", () => {
  const clusterMessages = { perSecond: 1, burst: 10 };
  const relay = createRelay({ clusterMessages });
  const [a, b] = [new Client(relay).join(), new Client(relay).join()];
  for (let i = 0; i < 30; i++) a.say({ type: "send", route: b.route, payload: Uint8Array.of(1) });
  expect(a.last("reset").reason).toBe(2);
  b.say({ type: "ack", processedBytes: b.count("recv") });
  expect(b.closedWith).toBeUndefined();
  expect(relay.core.stats().outstandingBytes).toBe(0);
});

test("a socket that asks and does not read is closed", () => {
  const relay = createRelay({ socketMessages: { perSecond: 1, burst: 10 } });
  const [mute, other] = [new Client(relay).join(), new Client(relay).join()];
  const absent = randomBytes(16);
  mute.bufferedBytes = 100_000;
  for (let i = 0; i < 10_000; i++) mute.say({ type: "send", route: absent, payload: Uint8Array.of(1) });
  expect(mute.closedWith?.code).toBe(closeCode.slowReader);
  expect(mute.frames.length).toBeLessThan(4_200);
  expect(other.last("peer")).toMatchObject({ route: mute.route, present: false });
  const quick = new Client(relay).join();
  for (let i = 0; i < 10_000; i++) quick.say({ type: "send", route: absent, payload: Uint8Array.of(1) });
  expect(quick.closedWith).toBeUndefined();
});

test("hubs per cluster are limited", () => {
  const relay = createRelay({ maxHubsPerCluster: 2 });
  const clients = [new Client(relay).join(), new Client(relay).join(), new Client(relay).join()];
  expect(clients.map((client) => client.closedWith?.code)).toEqual([undefined, undefined, closeCode.full]);
  expect(new Client(relay).join({ keys: clusterB }).closedWith).toBeUndefined();
});

test("malformed, oversized and misplaced frames end the socket and nobody else's", () => {
  const relay = createRelay();
  const other = new Client(relay).join();
  const bad = [
    Uint8Array.of(),
    Uint8Array.of(0x10),
    Uint8Array.of(0x10, 1, ...new Uint8Array(20)),
    Uint8Array.of(0xff, 0),
    encodeFrame({ type: "recv", route: other.route, payload: Uint8Array.of(1) }),
    encodeFrame({ type: "welcome", creditBytes: 1 }),
    concatBytes(Uint8Array.of(0x10, 0), other.route),
    new Uint8Array(1_048_577),
  ];
  for (const bytes of bad) {
    const client = new Client(relay).join();
    relay.core.message(client, bytes);
    expect([closeCode.malformed, closeCode.tooLarge]).toContain(client.closedWith?.code);
    const unadmitted = new Client(relay);
    relay.core.open(unadmitted);
    relay.core.message(unadmitted, bytes);
    expect([closeCode.malformed, closeCode.tooLarge]).toContain(unadmitted.closedWith?.code);
  }
  expect(other.closedWith).toBeUndefined();
  expect(relay.core.stats()).toMatchObject({ hubs: 1, awaiting: 0 });
});

test("a relay that slept takes its sockets back with what they had not read", () => {
  const relay = createRelay();
  const [a, b] = [new Client(relay).join(), new Client(relay).join()];
  const send = (to: Relay) => {
    to.core.message(a, encodeFrame({ type: "send", route: b.route, payload: new Uint8Array(65_536) }));
  };
  for (let i = 0; i < 10; i++) send(relay);
  b.frames.length = 0;
  const woken = createRelay();
  for (const client of [a, b]) woken.core.restore(client, JSON.parse(JSON.stringify(client.place)) as RelayPlace);
  expect(b.frames).toEqual([]);
  expect(woken.core.stats().outstandingBytes).toBe(655_360);
  const ack = (processedBytes: number) => woken.core.message(b, encodeFrame({ type: "ack", processedBytes }));
  ack(655_360);
  send(woken);
  expect(b.last("recv")).toMatchObject({ route: a.route });
  ack(720_896);
  expect(b.closedWith).toBeUndefined();
  expect(woken.core.stats().outstandingBytes).toBe(0);
  expect(JSON.stringify(a.place).length).toBeLessThan(256);
});

test("a hub of another node is announced, reached and replaced like one's own, and is not counted", () => {
  const relay = createRelay();
  const a = new Client(relay).join();
  const far = new Client(relay);
  const admission = { ...a.place!, route: encodeBase64Url(far.route) };
  relay.core.adopt(far, admission);
  expect(a.last("peer")).toMatchObject({ route: far.route, present: true });
  expect(far.frames).toEqual([]);
  a.say({ type: "send", route: far.route, payload: Uint8Array.of(1) });
  expect(far.last("recv").route).toEqual(a.route);
  far.say({ type: "send", route: a.route, payload: Uint8Array.of(2) });
  expect(a.last("recv").payload).toEqual(Uint8Array.of(2));
  expect(relay.core.stats()).toMatchObject({ hubs: 1, clusters: 1 });
  relay.core.redirect(clusterA.tag, "wss://two.test");
  expect(a.closedWith).toEqual({ code: closeCode.elsewhere, reason: "RELAY_ELSEWHERE wss://two.test" });
  expect(far.closedWith).toBeUndefined();
  const here = new Client(relay, far.route).join();
  expect([far.closedWith?.code, here.closedWith]).toEqual([closeCode.replaced, undefined]);
});

test("a socket of which the host cannot tell what it has read gets only so many answers", async () => {
  const relay = createRelay({
    socketMessages: { perSecond: 1e6, burst: 1e6 },
    clusterMessages: { perSecond: 1e6, burst: 1e6 },
  });
  const blind = new Client(relay).join();
  Object.defineProperty(blind, "bufferedBytes", { value: undefined });
  const ask = () => blind.say({ type: "send", route: randomBytes(16), payload: Uint8Array.of(1) });
  for (let i = 0; i < 8_192; i++) ask();
  await relay.clock.advance(60_000);
  for (let i = 0; i < 6_000; i++) ask();
  expect(blind.closedWith).toBeUndefined();
  for (let i = 0; i < 20_000 && blind.closedWith === undefined; i++) ask();
  expect(blind.closedWith?.code).toBe(closeCode.rateExceeded);
});

test("stalled readers of one cluster leave room to its others, and to every other cluster", () => {
  const relay = createRelay({ clusterCreditBytes: 2 * 1_048_576 });
  const sender = new Client(relay).join();
  const stalled = Array.from({ length: 30 }, () => new Client(relay).join());
  for (const { route } of stalled) {
    for (let i = 0; i < 40; i++) sender.say({ type: "send", route, payload: new Uint8Array(32_768) });
  }
  expect(relay.core.stats().outstandingBytes).toBeLessThanOrEqual(2 * 1_048_576 + 30 * 65_536);
  const [well, other, otherSender] = [new Client(relay), new Client(relay), new Client(relay)];
  well.join();
  sender.say({ type: "send", route: well.route, payload: new Uint8Array(32_768) });
  expect(well.count("recv")).toBe(1);
  other.join({ keys: clusterB });
  otherSender.join({ keys: clusterB });
  for (let i = 0; i < 10; i++) otherSender.say({ type: "send", route: other.route, payload: new Uint8Array(65_536) });
  expect(other.count("recv")).toBe(10);
});

test("a restart tells each socket when to come back; a cluster no longer admitted is closed", () => {
  const relay = createRelay();
  const a = new Client(relay).join();
  const b = new Client(relay).join({ keys: clusterB });
  relay.core.recheck(new Set([clusterB.tag]));
  expect(a.closedWith?.reason).toContain("TOKEN_KEY_UNKNOWN");
  relay.core.restart(5_000, 60_000);
  expect(b.last("restarting").reconnectInMs).toBeLessThan(5_000);
  expect(b.closedWith?.code).toBe(closeCode.restarting);
  expect(relay.core.stats()).toMatchObject({ hubs: 0, clusters: 0 });
});
