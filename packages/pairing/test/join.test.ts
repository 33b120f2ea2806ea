import { type Connection, CoreError, decodeBase64Url, type FedError, StoreError } from "@fed/core";
import { createMemoryNetwork, createMemoryStore } from "@fed/core/memory";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { caPin, formatPairingToken, generateSecret } from "../src/index.js";
import { address, createWorld, recording, type World } from "./world.js";

async function lastCode(world: World): Promise<string | undefined> {
  const outcome = await world.attempts.at(-1)!.outcome;
  return "code" in outcome ? outcome.code : undefined;
}

describe("a join", () => {
  it("makes the joiner a member; both sides report success, the token is used", async () => {
    const world = await createWorld();
    const { text, id } = await world.invite({ roles: ["worker", "cache"] });
    const options = world.joinOptions();
    expect(await world.join(text, options)).toBe(address);
    const outcome = await world.attempts[0]!.outcome;
    expect(outcome).toMatchObject({
      request: { hubId: options.hubId, name: "pc2", publicKey: options.key.publicKey, noiseKey: options.noiseKey },
      token: { id, state: "used", usedBy: options.hubId, roles: ["worker", "cache"] },
    });
    expect(options.kept).toHaveLength(1);
    expect(options.kept[0]!.clusterKey).toEqual(new Uint8Array(32).fill(7));
    expect(world.members).toEqual([options.hubId]);
    expect(world.attempts[0]!.seen()).not.toContain(Buffer.from(options.key.secretKey).toString("base64url"));
  });

  it("hands over a welcome that is larger than a guest's messages, with backpressure", async () => {
    const world = await createWorld({ padding: 1_500_000, maxMessageBytes: 65_536 });
    const options = world.joinOptions();
    await world.join((await world.invite()).text, options);
    expect(JSON.stringify(options.kept[0]!.revocations)).toHaveLength(1_500_000 + '{"padding":""}'.length);
    expect(await lastCode(world)).toBeUndefined();
  });

  it("tells both sides when the welcome is too large, after the member was made", async () => {
    const world = await createWorld({ padding: 24 * 1024 * 1024 });
    await expectCode(world.join((await world.invite()).text), "WELCOME_TOO_LARGE");
    const outcome = (await world.attempts[0]!.outcome) as FedError;
    expect(outcome.code).toBe("JOIN_UNCONFIRMED");
    expect(outcome.cause).toMatchObject({ code: "WELCOME_TOO_LARGE" });
  });

  it("is refused with the book's code, on both sides", async () => {
    const world = await createWorld();
    const token = (secret: string) => formatPairingToken({ secret, pin: world.pin, hints: [address] });

    const used = await world.invite();
    await world.join(used.text);
    await expectCode(world.join(used.text, { name: "pc3" }), "TOKEN_USED");
    expect(await lastCode(world)).toBe("TOKEN_USED");

    await expectCode(world.join(token(generateSecret())), "TOKEN_UNKNOWN");
    expect(await lastCode(world)).toBe("TOKEN_UNKNOWN");

    const closed = await world.invite();
    await world.tokens.close(closed.id);
    await expectCode(world.join(closed.text), "INVITE_CLOSED");

    const expired = await world.invite({ ttlMs: 1000 });
    await world.clock.advance(1000);
    await expectCode(world.join(expired.text), "TOKEN_EXPIRED");
    expect(await lastCode(world)).toBe("TOKEN_EXPIRED");
    expect(world.members).toHaveLength(1);
  });

  it("closes every open token at the twentieth wrong one", async () => {
    const world = await createWorld();
    const good = await world.invite();
    const guess = () => world.join(formatPairingToken({ secret: generateSecret(), pin: world.pin, hints: [address] }));
    for (let i = 0; i < 20; i++) await expectCode(guess(), "TOKEN_UNKNOWN");
    await expectCode(world.join(good.text), "INVITE_CLOSED");
  });

  it("is refused by `admit` with its own code, and the token stays good", async () => {
    let taken = true;
    const world = await createWorld({
      accept: {
        admit() {
          if (taken) throw new CoreError({ code: "GUEST_REFUSED", message: "Name\u001b[31m taken.", hint: "Another." });
        },
      },
    });
    const { text } = await world.invite();
    const refusal = await expectCode(world.join(text), "GUEST_REFUSED");
    expect(refusal.name).toBe("PeerError");
    expect(refusal.message).toBe("Name [31m taken.");
    expect(refusal.hint).toBe("Another.");
    taken = false;
    await world.join(text);
  });

  it("tells a stranger nothing of the issuer's store or defects", async () => {
    const failing = { error: new StoreError({ code: "STORE_FULL", message: "/home/me is full." }), applied: false };
    let full = false;
    const store = createMemoryStore({ fault: () => (full ? failing : undefined) });
    const world = await createWorld({ store });
    const { text } = await world.invite();
    full = true;
    const told = await expectCode(world.join(text), "JOIN_FAILED");
    expect(told.message).not.toContain("/home");
    expect(await lastCode(world)).toBe("STORE_FULL");

    const broken = await createWorld({ accept: { enroll: () => Promise.reject(new TypeError("secret detail")) } });
    const internal = await expectCode(broken.join((await broken.invite()).text), "INTERNAL");
    expect(internal.message).not.toContain("secret detail");
  });

  it("of many at once with one token succeeds once", async () => {
    const world = await createWorld();
    const { text } = await world.invite();
    const names = ["a", "b", "c", "d", "e", "f"];
    const results = await Promise.allSettled(names.map((name) => world.join(text, { name })));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(world.members).toHaveLength(1);
    const outcomes = await Promise.all(world.attempts.map(({ outcome }) => outcome));
    const codes = outcomes.map((outcome) => ("code" in outcome ? outcome.code : "joined"));
    expect(codes.sort()).toEqual([...Array(5).fill("TOKEN_USED"), "joined"]);
  });
});

describe("whoever answers", () => {
  it("with another CA gets no byte, so no secret", async () => {
    const network = createMemoryNetwork();
    const heard: Connection[] = [];
    await createWorld({ network, onGuest: (connection) => heard.push(connection) });
    const other = await createWorld({ network, at: "elsewhere" });
    const { text } = await other.invite({ hints: [address] });
    await expectCode(other.join(text), "PIN_MISMATCH");
    expect(heard).toHaveLength(0);
  });

  it("with the right CA but a leaf of another one gets no byte", async () => {
    const real = await createWorld();
    const heard: Connection[] = [];
    const impostor = await createWorld({
      show: ({ leaf }) => ({ leaf, chain: [real.ca] }),
      onGuest: (connection) => heard.push(connection),
    });
    const { text } = await real.invite();
    const error = await expectCode(real.join(text, { dials: { lan: impostor.network.guestDial } }), "ISSUER_INVALID");
    expect(error.cause).toMatchObject({ code: expect.stringMatching(/^LEAF_/) });
    expect(heard).toHaveLength(0);
  });

  it("without a chain is an impostor", async () => {
    const world = await createWorld({ show: ({ leaf }) => ({ leaf, chain: [] }) });
    await expectCode(world.join((await world.invite()).text), "PIN_MISMATCH");
    expect(world.attempts).toHaveLength(0);
  });

  it("as an impostor at one address does not keep the joiner from the next", async () => {
    const network = createMemoryNetwork();
    const heard: Connection[] = [];
    await createWorld({ network, onGuest: (connection) => heard.push(connection) });
    const real = await createWorld({ network, at: "pc9" });
    const { text } = await real.invite({ hints: [address, "lan:nobody", "lan:pc9"] });
    expect(await real.join(text)).toBe("lan:pc9");
    expect(heard).toHaveLength(0);
  });

  it("is reported as an impostor even if the addresses after it do not answer", async () => {
    const network = createMemoryNetwork();
    await createWorld({ network });
    const gone = await createWorld();
    const { text } = await gone.invite({ hints: [address, "lan:nobody"] });
    await expectCode(gone.join(text, { dials: { lan: network.guestDial } }), "PIN_MISMATCH");
  });

  it("cannot pass the claim on to its own issuer: a claim names the cluster that is meant", async () => {
    const victim = await createWorld();
    // The attacker holds a token of the victim and hands out its secret under its own pin.
    const { secret } = await victim.invite();
    const attacker = await createWorld({
      onGuest(connection) {
        victim.network.guestDial(address, { authenticateResponder() {} }).then((onward) => {
          connection.start({ message: (bytes) => onward.send(bytes), closed: () => onward.close() });
          onward.start({ message: (bytes) => connection.send(bytes), closed: () => connection.close() });
        });
      },
    });
    const text = formatPairingToken({ secret, pin: attacker.pin, hints: [address] });
    await expectCode(attacker.join(text), "JOIN_PROOF_INVALID");
    expect(await lastCode(victim)).toBe("JOIN_PROOF_INVALID");
    expect(victim.members).toEqual([]);
  });
});

describe("addresses", () => {
  it("are tried in order, those of unknown schemes passed over", async () => {
    const world = await createWorld();
    const dialled: string[] = [];
    const { text } = await world.invite({ hints: ["constructor:x", "relay:x", "lan:nobody", address] });
    await world.join(text, { dials: { lan: recording(world.network.guestDial, dialled) } });
    expect(dialled).toEqual(["lan:nobody", address]);
  });

  it("that do not lead on end in ISSUER_UNREACHABLE, with the token unused", async () => {
    const world = await createWorld();
    const { text } = await world.invite({ hints: ["lan:nobody"] });
    const error = await expectCode(world.join(text), "ISSUER_UNREACHABLE");
    expect(error.cause).toMatchObject({ code: "UNREACHABLE" });
    await expectCode(world.join(text, { dials: {} }), "ISSUER_UNREACHABLE");
    // What every object inherits is no way to dial.
    const inherited = await world.invite({ hints: ["constructor:x"] });
    expect((await expectCode(world.join(inherited.text), "ISSUER_UNREACHABLE")).cause).toBeUndefined();
    expect((await world.tokens.list()).map(({ state }) => state)).toEqual(["open", "open"]);
  });

  it("are not tried on after the secret was sent", async () => {
    const network = createMemoryNetwork();
    const real = await createWorld({ network, accept: { admit: () => refuse() } });
    const dialled: string[] = [];
    const { text } = await real.invite({ hints: [address, address] });
    await expectCode(real.join(text, { dials: { lan: recording(network.guestDial, dialled) } }), "GUEST_REFUSED");
    expect(dialled).toEqual([address]);
  });
});

function refuse(): never {
  throw new CoreError({ code: "GUEST_REFUSED", message: "No." });
}

describe("caPin", () => {
  it("is the SHA-256 of the certificate", () => {
    const abc = new TextEncoder().encode("abc");
    expect(caPin(abc)).toEqual(decodeBase64Url("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"));
  });
});
