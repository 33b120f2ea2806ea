import { getEventListeners } from "node:events";
import { CoreError, encodeBase64Url, encodeUtf8, type FedError, randomBytes } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { expectCode } from "@fed/core/testing";
import { createSigner, generateKeyPair } from "@fed/trust";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTokenBook, generateSecret } from "../src/index.js";
import { confirmMessage, confirmProofInput, type JoinMessage, readChallenge } from "../src/join-message.js";
import {
  type Attempt,
  claimOf,
  countingClock,
  createWorld,
  hubId,
  type RawEnd,
  signedJoin,
  type TestClaim,
  type World,
} from "./world.js";

interface Visit {
  readonly attempt: Attempt;
  readonly guest: RawEnd;
  readonly nonce: Uint8Array;
}

async function visit(world: World): Promise<Visit> {
  const attempt = world.attempt();
  const guest = await world.guest();
  return { guest, nonce: readChallenge(await guest.receive()), attempt: await attempt };
}

/** What the issuer ended with. */
async function ending({ attempt }: Visit): Promise<FedError> {
  const outcome = await attempt.outcome;
  if (!("code" in outcome)) throw new Error("The join succeeded.");
  return outcome;
}

/** The guest sends `message` in its turn; it must be told `code`, and the connection be closed. */
async function expectRefusal(world: World, make: (visit: Visit) => JoinMessage, code: string): Promise<void> {
  const one = await visit(world);
  one.guest.send(make(one));
  expect(await one.guest.receive()).toMatchObject({ t: "refused", code });
  expect((await ending(one)).code).toBe(code);
  await one.guest.closed;
  expect(world.members).toEqual([]);
}

async function readWelcome(guest: RawEnd): Promise<Uint8Array> {
  const { bytes } = await guest.receive();
  const parts: Uint8Array[] = [];
  for (let got = 0; got < (bytes as number); got += parts.at(-1)!.length) parts.push(await guest.receiveBytes());
  return Buffer.concat(parts);
}

/** A guest that has been enrolled and holds the welcome. */
async function enrolled(world: World): Promise<{ one: Visit; claim: TestClaim; document: Uint8Array }> {
  const claim = await claimOf((await world.invite()).secret, world.pin);
  const one = await visit(world);
  one.guest.send(signedJoin(claim, one.nonce));
  return { one, claim, document: await readWelcome(one.guest) };
}

describe("acceptJoin against hostile guests", () => {
  it("accepts the messages as the specification spells them", async () => {
    const world = await createWorld();
    const { one, claim, document } = await enrolled(world);
    const proof = createSigner(claim.key.secretKey).sign(confirmProofInput(document));
    one.guest.send(confirmMessage(proof));
    expect(await one.guest.receive()).toEqual({ t: "done" });
    expect(await one.attempt.outcome).toMatchObject({ request: { hubId: claim.hubId } });
    expect(await one.guest.closed).toBeUndefined();
  });

  it("does not report success before the second proof, nor for a wrong one", async () => {
    const world = await createWorld();
    const { one, claim } = await enrolled(world);
    let reported = false;
    void one.attempt.outcome.then(() => {
      reported = true;
    });
    await world.clock.advance(14_000);
    expect(reported).toBe(false);
    const proof = createSigner(claim.key.secretKey).sign(confirmProofInput(encodeUtf8("{}")));
    one.guest.send(confirmMessage(proof));
    expect(await one.guest.receive()).toMatchObject({ t: "refused", code: "JOIN_PROOF_INVALID" });
    const error = await ending(one);
    expect(error.code).toBe("JOIN_UNCONFIRMED");
    expect(error.cause).toMatchObject({ code: "JOIN_PROOF_INVALID" });
  });

  it.each([
    ["that never confirms", "JOIN_TIMEOUT", async (world: World) => world.clock.advance(15_000)],
    ["that hangs up", "JOIN_BROKEN_OFF", async (_: World, guest: RawEnd) => guest.connection.close()],
    [
      "that refuses",
      "NO_SPACE",
      async (_: World, guest: RawEnd) => guest.send({ t: "refused", code: "NO_SPACE", message: "Full." }),
    ],
    ["that repeats its join", "JOIN_MALFORMED", async (_: World, guest: RawEnd) => guest.send({ t: "join", v: 1 })],
  ])("names a member %s JOIN_UNCONFIRMED", async (_, code, act) => {
    const world = await createWorld();
    const { one } = await enrolled(world);
    await act(world, one.guest);
    const error = await ending(one);
    expect(error.code).toBe("JOIN_UNCONFIRMED");
    expect(error.cause).toMatchObject({ code });
    expect(world.members).toHaveLength(1);
  });

  it("succeeds though the guest leaves as soon as it has confirmed", async () => {
    const world = await createWorld();
    const { one, claim, document } = await enrolled(world);
    one.guest.send(confirmMessage(createSigner(claim.key.secretKey).sign(confirmProofInput(document))));
    one.guest.connection.close();
    expect(await one.attempt.outcome).toMatchObject({ token: { state: "used" } });
  });

  it("refuses proofs that are not of this claim, this nonce and this key; the token stays good", async () => {
    const world = await createWorld();
    const { secret } = await world.invite();
    const claim = await claimOf(secret, world.pin);
    const replayed = signedJoin(claim, (await visit(world)).nonce);
    await expectRefusal(world, () => replayed, "JOIN_PROOF_INVALID");
    const other = await claimOf(secret, world.pin);
    const changes: Partial<JoinMessage>[] = [
      { name: "pc3" },
      { hubId: "a".repeat(26) },
      { noise: encodeBase64Url(new Uint8Array(32)) },
      { secret: generateSecret() },
      { csr: encodeBase64Url(other.csr) },
      { pin: encodeBase64Url(new Uint8Array(32)) },
      { proof: encodeBase64Url(new Uint8Array(64)) },
    ];
    for (const change of changes) {
      await expectRefusal(
        world,
        ({ nonce }) => ({ ...signedJoin(claim, nonce), ...change }) as JoinMessage,
        "JOIN_PROOF_INVALID",
      );
    }
    const stranger: TestClaim = { ...claim, key: generateKeyPair() };
    await expectRefusal(world, ({ nonce }) => signedJoin(stranger, nonce), "JOIN_PROOF_INVALID");
    expect(await world.tokens.peek(secret)).toMatchObject({ state: "open" });
  });

  it("refuses requests that trust refuses", async () => {
    const world = await createWorld();
    const good = await claimOf((await world.invite()).secret, world.pin);
    const forged = good.csr.slice();
    forged[forged.length - 1]! ^= 1;
    await expectRefusal(world, ({ nonce }) => signedJoin({ ...good, csr: forged }, nonce), "CSR_BAD_SIGNATURE");
    for (const csr of [new Uint8Array(), good.csr.slice(0, -1), new Uint8Array(9000)]) {
      await expectRefusal(world, ({ nonce }) => signedJoin({ ...good, csr }, nonce), "CSR_MALFORMED");
    }
  });

  it("refuses members that are not of their form", async () => {
    const world = await createWorld();
    const claim = await claimOf((await world.invite()).secret, world.pin);
    const changes: Record<string, unknown>[] = [
      { v: 2 },
      { v: "1" },
      { name: "" },
      { name: "PC2" },
      { name: "-pc2" },
      { name: "pc2\n" },
      { name: "a".repeat(33) },
      { name: null },
      { hubId: "a".repeat(25) },
      // The unused bits of the last character are not zero: no 16 bytes spell this.
      { hubId: `${"a".repeat(25)}b` },
      { hubId: `${"a".repeat(25)}A` },
      { secret: "a".repeat(27) },
      { secret: 1 },
      { noise: encodeBase64Url(new Uint8Array(31)) },
      { noise: encodeBase64Url(new Uint8Array(33)) },
      { pin: encodeBase64Url(new Uint8Array(20)) },
      { proof: encodeBase64Url(new Uint8Array(63)) },
      { csr: "not base64url!" },
      { csr: undefined },
      { extra: 1 },
      { t: "confirm" },
      { t: 7 },
    ];
    for (const change of changes) {
      await expectRefusal(
        world,
        (at) => ({ ...signedJoin(claim, at.nonce), ...change }) as JoinMessage,
        "JOIN_MALFORMED",
      );
    }
  });

  it("ends in JOIN_MALFORMED or a proof's code for any bytes, and stays able to serve", async () => {
    const world = await createWorld();
    const { secret, text } = await world.invite();
    const claim = await claimOf(secret, world.pin);
    const garbage = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => () => bytes),
      fc.json().map((json) => () => encodeUtf8(json)),
      fc.nat(1000).map((cut) => (join: Uint8Array) => join.slice(0, Math.max(1, cut % join.length))),
      fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 255 })).map(([at, mask]) => (join: Uint8Array) => {
        const changed = join.slice();
        changed[at % changed.length]! ^= mask;
        return changed;
      }),
    );
    const codes = ["JOIN_MALFORMED", "JOIN_PROOF_INVALID", "CSR_MALFORMED", "CSR_BAD_SIGNATURE", "BAD_KEY"];
    await fc.assert(
      fc.asyncProperty(garbage, async (make) => {
        const one = await visit(world);
        one.guest.sendBytes(make(encodeUtf8(JSON.stringify(signedJoin(claim, one.nonce)))));
        expect(codes).toContain((await ending(one)).code);
        await one.guest.closed;
      }),
      { numRuns: 150 },
    );
    expect(world.members).toEqual([]);
    await world.join(text);
  });

  it("ends a flood and a message that is too large at once", async () => {
    const world = await createWorld();
    const flood = await visit(world);
    for (let i = 0; i < 1000; i++) flood.guest.send({ t: "join", v: 1 });
    expect((await ending(flood)).code).toBe("JOIN_MALFORMED");
    const large = await visit(world);
    large.guest.sendBytes(new Uint8Array(32 * 1024 + 1));
    expect((await ending(large)).code).toBe("JOIN_MALFORMED");
    await Promise.all([flood.guest.closed, large.guest.closed]);
  });

  it("waits for a guest that takes nothing only until the deadline, and for one that floods meanwhile not at all", async () => {
    const world = await createWorld({ padding: 8_000_000 });
    async function stalled(name: string, id: number): Promise<Visit> {
      const claim = await claimOf((await world.invite()).secret, world.pin, {
        name,
        hubId: hubId(id),
        noiseKey: randomBytes(32),
      });
      const one = await visit(world);
      one.guest.send(signedJoin(claim, one.nonce));
      expect(await one.guest.receive()).toMatchObject({ t: "welcome" });
      one.guest.connection.pause();
      return one;
    }
    const slow = await stalled("pc2", 2);
    await world.clock.advance(15_000);
    const late = await ending(slow);
    expect(late.code).toBe("JOIN_UNCONFIRMED");
    expect(late.cause).toMatchObject({ code: "JOIN_TIMEOUT" });

    const flood = await stalled("pc3", 3);
    for (let i = 0; i < 10; i++) flood.guest.send({ t: "confirm" });
    expect((await ending(flood)).cause).toMatchObject({ code: "JOIN_MALFORMED" });
    const large = await stalled("pc4", 4);
    large.guest.sendBytes(new Uint8Array(32 * 1024 + 1));
    expect((await ending(large)).cause).toMatchObject({ code: "JOIN_MALFORMED" });
    // It was broken off in the middle: what had not been taken is lost, and no refusal is mixed into the document.
    flood.guest.connection.resume();
    expect((await flood.guest.closed)?.code).toBe("CLOSED");
  });

  it("ends a guest that is silent, or slow, at the deadline and not before", async () => {
    const world = await createWorld({ accept: { timeoutMs: 5000 } });
    const silent = await visit(world);
    await world.clock.advance(4999);
    const slow = await visit(world);
    await world.clock.advance(1);
    expect(await silent.guest.receive()).toMatchObject({ t: "refused", code: "JOIN_TIMEOUT" });
    expect((await ending(silent)).code).toBe("JOIN_TIMEOUT");
    await world.clock.advance(4999);
    expect((await ending(slow)).code).toBe("JOIN_TIMEOUT");
  });

  it("leaves the token of a guest that is gone, or late, unredeemed", async () => {
    const book = createTokenBook({ store: createMemoryStore() });
    let one: Visit | undefined;
    const gone = await createWorld({
      accept: {
        tokens: {
          ...book,
          async peek(secret) {
            const record = await book.peek(secret);
            one!.guest.connection.close();
            // Lets the close arrive.
            await gone.clock.advance(0);
            return record;
          },
        },
      },
    });
    const { secret } = await book.issue({ ttlMs: 60_000 });
    one = await visit(gone);
    one.guest.send(signedJoin(await claimOf(secret, gone.pin), one.nonce));
    expect((await ending(one)).code).toBe("JOIN_BROKEN_OFF");
    expect(await book.peek(secret)).toMatchObject({ state: "open" });

    const controller = new AbortController();
    const stopped = await createWorld({ accept: { signal: controller.signal, admit: () => controller.abort() } });
    const invited = await stopped.invite();
    const two = await visit(stopped);
    two.guest.send(signedJoin(await claimOf(invited.secret, stopped.pin), two.nonce));
    expect((await ending(two)).code).toBe("ABORTED");
    expect(await two.guest.receive()).toMatchObject({ t: "refused", code: "ABORTED" });
    expect(await stopped.tokens.peek(invited.secret)).toMatchObject({ state: "open" });
    expect(stopped.members).toEqual([]);
  });

  it("stops at its signal, and leaves no listener and no timer behind", async () => {
    const controller = new AbortController();
    const clock = countingClock();
    const world = await createWorld({ accept: { signal: controller.signal, clock } });
    await world.join((await world.invite()).text);
    await world.attempts[0]!.outcome;
    const gone = await visit(world);
    gone.guest.connection.close();
    expect((await ending(gone)).code).toBe("JOIN_BROKEN_OFF");
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    expect(clock.pending()).toBe(0);

    const waiting = await visit(world);
    controller.abort(new CoreError({ code: "GOING_AWAY", message: "The hub stops." }));
    expect((await ending(waiting)).code).toBe("GOING_AWAY");
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    await expectCode(world.join((await world.invite()).text), "ISSUER_UNREACHABLE");
  });
});
