/** What a broken or lying peer can do: nothing but typed errors, bounded memory, and no harm to others. */

import { encodeUtf8, isFedError, randomBytes, type Session, type Stream } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createSession } from "@fed/session";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits, RemoteError } from "../src/index.js";
import { encodeNotification } from "../src/wire.js";
import { createFleet, type Fleet, type Hub, identityOf, TestError } from "./fleet.js";

let fleet: Fleet;
let hub: Hub;
let rogue: Session;
/** How the rogue serves calls and lists. */
let serve: (stream: Stream) => Promise<void>;

beforeEach(async () => {
  fleet = createFleet();
  hub = fleet.hub("alpha");
  hub.apps.set("echo", () => "ok");
  hub.shared.add("echo");
  await hub.router.start();
  const transport = fleet.lan.transport({ identity: identityOf("rogue"), address: "rogue", name: "lan" });
  rogue = await createSession(await transport.dial(hub.identity.hubId), {
    clock: fleet.clock,
    epoch: randomBytes(16),
    handler: { stream: (stream) => void serve(stream) },
  });
  await fleet.until(() => hub.events.includes("up rogue"));
});
afterEach(() => fleet.close());

const target = { hub: identityOf("rogue").hubId, app: "echo", method: "x" };
const answering = (...messages: Uint8Array[]) => {
  serve = async (stream) => {
    await stream.receive();
    for (const message of messages) await stream.send(message);
    stream.end();
  };
};
const errorAnswer = (value: unknown) => new Uint8Array([3, 0, 0, 0, 0, ...encodeUtf8(JSON.stringify(value))]);

describe("answers of a lying peer", () => {
  it("that are random bytes end in a typed error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 4 }), async (messages) => {
        answering(...messages);
        const error = await hub.router.call(target, { caller: hub.caller }).then(
          () => undefined,
          (cause) => cause,
        );
        expect(error === undefined || isFedError(error)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ["no kind", [new Uint8Array(0)]],
    ["an unknown kind", [new Uint8Array([9, 0, 0, 0, 0, 0x7b, 0x7d])]],
    ["a result cut short", [new Uint8Array([2, 0, 0])]],
    ["a result that is no JSON", [new Uint8Array([2, 0, 0, 0, 0, 0x7b])]],
    ["a notification that is too large", [new Uint8Array(limits.notificationBytes + 2).fill(0x31, 1).fill(1, 0, 1)]],
    ["an error without a code", [errorAnswer({ message: "x" })]],
    ["an error with a code that is none", [errorAnswer({ code: "no such", message: "x" })]],
    ["a result nested too deep", [encodeUtf8(`\u0002\0\0\0\0${"[".repeat(65)}${"]".repeat(65)}`)]],
  ])("with %s are REMOTE_PROTOCOL", async (_what, messages) => {
    answering(...messages);
    await expectCode(hub.router.call(target, { caller: hub.caller }), "REMOTE_PROTOCOL");
  });

  it("that end without a result leave the outcome unknown", async () => {
    answering(encodeNotification({ method: "notifications/progress" }));
    await expectCode(hub.router.call(target, { caller: hub.caller }), "OUTCOME_UNKNOWN");
  });

  it("bring errors whose text is bounded and harmless to print", async () => {
    answering(errorAnswer({ code: "NO", message: `\u001b[2J${"m".repeat(5000)}`, hint: "h\n".repeat(2000) }));
    const error = await expectCode(hub.router.call(target, { caller: hub.caller }), "NO");
    expect(error).toBeInstanceOf(RemoteError);
    expect(error.message.length).toBe(limits.errorText.message);
    expect(error.hint!.length).toBe(limits.errorText.hint);
    expect(error.retryable).toBe(false);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    expect(error.message + error.hint).not.toMatch(/[\u0000-\u001f]/);
  });

  it("cannot pose as an error of this hub", async () => {
    answering(errorAnswer({ code: "HUB_UNREACHABLE", message: "x", retryable: true }));
    const error = await expectCode(hub.router.call(target, { caller: hub.caller }), "HUB_UNREACHABLE");
    expect(error).toBeInstanceOf(RemoteError);
  });
});

describe("streams of a lying peer", () => {
  const goodHeader = { k: "call", v: 1, app: "echo", id: "A".repeat(22), env: { origin: "o", hop: "h" } };

  it("with random headers and bodies never reach an app", async () => {
    let ran = 0;
    hub.apps.set("echo", () => ++ran);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 100 }),
          fc.json().map(encodeUtf8),
          fc
            .record({ k: fc.constantFrom("call", "list", "probe", "x"), v: fc.anything(), app: fc.anything() })
            .map((header) => encodeUtf8(JSON.stringify(header) ?? "")),
          fc.constant(encodeUtf8(JSON.stringify(goodHeader))),
        ),
        fc.uint8Array({ maxLength: 100 }),
        async (header, body) => {
          const stream = rogue.open(header);
          stream.send(body, { end: true }).catch(() => {});
          const answer = await stream.receive().catch((error) => error);
          expect(isFedError(answer) || answer === undefined || answer[0] === 3 || answer.length === body.length).toBe(
            true,
          );
          stream.reset(new TestError({ code: "ABORTED", message: "Enough." }));
        },
      ),
      { numRuns: 150 },
    );
    expect(ran).toBe(0);
  });

  it.each([
    ["another version", { ...goodHeader, v: 2 }],
    ["an id that is too short", { ...goodHeader, id: "A" }],
    ["an app that is a path", { ...goodHeader, app: "../x" }],
    ["no envelope", { ...goodHeader, env: undefined }],
    ["a token that is too long", { ...goodHeader, env: { origin: "o".repeat(limits.tokenChars + 1), hop: "h" } }],
    ["too many hops", { ...goodHeader, env: { origin: "o", hop: "h", via: ["a", "b", "c", "d"] } }],
    ["a key that could end a field of the digest", { ...goodHeader, idem: "a\nb" }],
  ])("with %s are REQUEST_MALFORMED", async (_what, header) => {
    const stream = rogue.open(encodeUtf8(JSON.stringify(header)));
    await stream.send(encodeUtf8('{"method":"x"}'), { end: true });
    const answer = (await stream.receive())!;
    expect(answer[0]).toBe(3);
    expect(JSON.parse(new TextDecoder().decode(answer.subarray(5)))).toMatchObject({ code: "REQUEST_MALFORMED" });
  });

  it("are refused above the limit of calls in flight, and other peers are not", async () => {
    const streams = Array.from({ length: limits.callsPerPeer }, () =>
      rogue.open(encodeUtf8(JSON.stringify(goodHeader))),
    );
    const one = rogue.open(encodeUtf8(JSON.stringify(goodHeader)));
    const answer = (await one.receive())!;
    expect(JSON.parse(new TextDecoder().decode(answer.subarray(5)))).toMatchObject({ code: "BUSY", retryable: true });
    const b = fleet.hub("beta");
    await b.router.start();
    await fleet.until(() => b.events.length === 1 && hub.events.includes("up beta"));
    const call = { hub: hub.identity.hubId, app: "echo", method: "x" };
    expect(await b.router.call(call, { caller: b.caller })).toBe("ok");
    for (const stream of streams) stream.reset(new TestError({ code: "ABORTED", message: "Enough." }));
  });

  it("are refused above the bytes of all that are served, however few they are", async () => {
    const { promise: enough, resolve: end } = Promise.withResolvers<void>();
    let served = 0;
    hub.apps.set("echo", async () => {
      served++;
      await enough;
      return "ok";
    });
    const b = fleet.hub("beta");
    await b.router.start();
    await fleet.until(() => b.events.length === 1 && hub.events.includes("up beta"));
    const large = "x".repeat(1_000_000);
    const most = Math.ceil(limits.requestBytesPerPeer / large.length);
    const call = (params?: object) =>
      b.router.call({ hub: hub.identity.hubId, app: "echo", method: "x", params }, { caller: b.caller });
    const calls: Promise<unknown>[] = [];
    // One after the other: what waits to be sent is bounded, too.
    while (calls.length < most) {
      calls.push(call({ large }));
      await fleet.until(() => served === calls.length);
    }
    await expectCode(call(), "BUSY");
    end();
    expect(await Promise.all(calls)).toEqual(calls.map(() => "ok"));
    expect(await call()).toBe("ok");
  });

  it("that are not read cost the owner a bounded queue of progress", async () => {
    hub.apps.set("echo", (_request, { notify }) => {
      for (let i = 0; i < 10_000; i++)
        notify({ method: "notifications/progress", params: { i, text: "x".repeat(1000) } });
      return "done";
    });
    const b = fleet.hub("beta");
    await b.router.start();
    await fleet.until(() => b.events.length === 1);
    const seen: unknown[] = [];
    const call = { hub: hub.identity.hubId, app: "echo", method: "x" };
    const options = { caller: b.caller, onNotification: (notification: unknown) => seen.push(notification) };
    expect(await b.router.call(call, options)).toBe("done");
    expect(seen.length).toBe(limits.notificationQueue);
  });

  it("nor sessions half open: a peer may have four", async () => {
    const transport = fleet.lan.transport({ identity: identityOf("second"), address: "second", name: "lan" });
    const closed: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      const connection = await transport.dial(hub.identity.hubId);
      connection.start({ message() {}, closed: (error) => closed.push(error) });
    }
    await fleet.until(() => closed.length === 10 - limits.openingPerPeer);
    await fleet.clock.advance(100);
    expect(closed.length).toBe(10 - limits.openingPerPeer);
  });

  it("cannot change app or key under a signature", async () => {
    hub.apps.set("other", () => "no");
    hub.shared.add("other");
    const b = fleet.hub("beta");
    await b.router.start();
    await fleet.until(() => b.events.length === 1);
    const session = b.router.session(hub.identity.hubId)!;
    const call = { hub: hub.identity.hubId, app: "echo", method: "x" };
    await b.router.call(call, { caller: b.caller });
    // The same signer signs for `echo`; the header says `other`.
    const { createHash } = await import("node:crypto");
    const digest = createHash("sha256").update('fed-call/1\necho\n\n{"method":"x"}').digest("base64url");
    const base = { iss: b.identity.hubId, aud: hub.identity.hubId, epoch: session.peerEpoch, cdg: digest };
    const { origin } = b.signed[0]!;
    for (const [app, idem, code] of [
      ["echo", undefined, undefined],
      ["other", undefined, "BODY_MISMATCH"],
      ["echo", "key", "BODY_MISMATCH"],
    ] as const) {
      const hop = JSON.stringify({ ...base, jti: `${app}${idem}` });
      const stream = session.open(encodeUtf8(JSON.stringify({ ...goodHeader, app, idem, env: { origin, hop } })));
      await stream.send(encodeUtf8('{"method":"x"}'), { end: true });
      const answer = (await stream.receive())!;
      const value = JSON.parse(new TextDecoder().decode(answer.subarray(5)));
      if (code) expect(value).toMatchObject({ code });
      else expect(value).toBe("ok");
    }
  });
});
