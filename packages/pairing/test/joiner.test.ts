import { getEventListeners } from "node:events";
import { type Connection, encodeBase64Url, encodeUtf8, type FedError, toFedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JoinOptions, parsePairingToken } from "../src/index.js";
import { decodeWelcome, encodeWelcome, type JoinMessage, readJoin } from "../src/join-message.js";
import { countingClock, createWorld, type RawEnd, rawEnd, type World } from "./world.js";

const challenge = { t: "challenge", nonce: encodeBase64Url(new Uint8Array(32)) };

interface Trap {
  readonly world: World;
  /** Starts a join; the issuer's end is driven by `act`. */
  run(act: (issuer: RawEnd) => Promise<void>, change?: Partial<JoinOptions>): Promise<FedError | string>;
  readonly options: ReturnType<World["joinOptions"]>;
}

/** An issuer with the right certificates that then does as it likes. */
async function trap(): Promise<Trap> {
  let guest: (connection: Connection) => void = () => {};
  const world = await createWorld({ onGuest: (connection) => guest(connection) });
  const { text } = await world.invite();
  const options = world.joinOptions();
  return {
    world,
    options,
    async run(act, change = {}) {
      const acted = Promise.withResolvers<void>();
      guest = (connection) => act(rawEnd(connection)).then(acted.resolve, acted.reject);
      const result = await world.join(text, { ...options, ...change }).catch(toFedError);
      await acted.promise;
      return result;
    },
  };
}

async function codeOf(result: Promise<FedError | string>): Promise<string> {
  const outcome = await result;
  return typeof outcome === "string" ? outcome : outcome.code;
}

/** Sends `document` as the specification spells it. */
function sendWelcome(issuer: RawEnd, document: Uint8Array): void {
  issuer.send({ t: "welcome", bytes: document.length });
  for (let from = 0; from < document.length; from += 32_768) issuer.sendBytes(document.slice(from, from + 32_768));
}

async function goodWelcome(world: World, join: JoinMessage): Promise<Uint8Array> {
  const { claim } = readJoin(join);
  const { verifyCsr } = await import("@fed/trust");
  const { publicKey } = verifyCsr(claim.csr);
  return encodeWelcome(await world.enroll({ ...claim, publicKey, roles: [] }));
}

describe("join against hostile issuers", () => {
  it("accepts the messages as the specification spells them, in this order", async () => {
    const { world, run, options } = await trap();
    const result = await run(async (issuer) => {
      issuer.send(challenge);
      sendWelcome(issuer, await goodWelcome(world, await issuer.receive()));
      expect(await issuer.receive()).toMatchObject({ t: "confirm" });
      expect(options.kept).toHaveLength(1);
      issuer.send({ t: "done" });
    });
    expect(result).toBe("lan:pc1");
  });

  it("sends nothing before the challenge, and no secret to a hub that sends something else", async () => {
    const { world, run, options } = await trap();
    const { secret } = parsePairingToken((await world.invite()).text);
    for (const message of [
      { t: "welcome", bytes: 1 },
      { t: "challenge" },
      { ...challenge, x: 1 },
      { t: "challenge", nonce: "AA" },
      [],
    ]) {
      const heard: string[] = [];
      const code = await codeOf(
        run(async (issuer) => {
          issuer.send(message);
          heard.push(JSON.stringify(await issuer.receive()));
          await issuer.closed;
        }),
      );
      expect(code).toBe("ISSUER_UNREACHABLE");
      expect(heard[0]).toContain("JOIN_MALFORMED");
      expect(heard[0]).not.toContain(secret);
    }
    expect(options.kept).toHaveLength(0);
  });

  it("refuses welcomes that are not of their form, and keeps nothing", async () => {
    const { run, options } = await trap();
    const good = { leaf: "AAAA", manifests: [], clusterKey: encodeBase64Url(new Uint8Array(32)), revocations: null };
    const text = (value: unknown) => encodeUtf8(JSON.stringify(value));
    const bad: ((issuer: RawEnd) => void)[] = [
      (issuer) => issuer.send({ t: "welcome" }),
      (issuer) => issuer.send({ t: "welcome", bytes: 0 }),
      (issuer) => issuer.send({ t: "welcome", bytes: 1.5 }),
      (issuer) => issuer.send({ t: "welcome", bytes: "10" }),
      (issuer) => issuer.send({ t: "welcome", bytes: 24 * 1024 * 1024 + 1 }),
      (issuer) => issuer.send({ t: "welcome", bytes: 10, more: 1 }),
      (issuer) => issuer.send({ t: "done" }),
      (issuer) => issuer.send(challenge),
      (issuer) => issuer.sendBytes(new Uint8Array(32_769)),
      (issuer) => {
        issuer.send({ t: "welcome", bytes: 10 });
        issuer.sendBytes(new Uint8Array(9));
      },
      (issuer) => {
        issuer.send({ t: "welcome", bytes: 40_000 });
        issuer.sendBytes(new Uint8Array(20_000));
      },
      (issuer) => sendWelcome(issuer, text("no object")),
      (issuer) => sendWelcome(issuer, text({ ...good, leaf: 1 })),
      (issuer) => sendWelcome(issuer, text({ ...good, manifests: {} })),
      (issuer) => sendWelcome(issuer, text({ ...good, clusterKey: "AA" })),
      (issuer) => sendWelcome(issuer, text({ ...good, revocations: undefined })),
      (issuer) => sendWelcome(issuer, text({ ...good, more: 1 })),
      (issuer) => sendWelcome(issuer, encodeUtf8('{"leaf":"AA","leaf":"AA"}')),
      (issuer) => sendWelcome(issuer, encodeUtf8(`{"leaf":${"[".repeat(40)}`)),
      (issuer) => {
        for (let i = 0; i < 1000; i++) issuer.send({ t: "welcome", bytes: 1 });
      },
    ];
    for (const act of bad) {
      const code = await codeOf(
        run(async (issuer) => {
          issuer.send(challenge);
          await issuer.receive();
          act(issuer);
          await issuer.closed;
        }),
      );
      expect(code, act.toString()).toBe("JOIN_MALFORMED");
    }
    expect(options.kept).toHaveLength(0);
  });

  it("ends in a code of its own for any bytes at any step", async () => {
    const { run, options } = await trap();
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.uint8Array({ minLength: 1, maxLength: 100 }), async (early, bytes) => {
        const code = await codeOf(
          run(async (issuer) => {
            if (!early) {
              issuer.send(challenge);
              await issuer.receive();
            }
            issuer.sendBytes(bytes);
            await issuer.closed;
          }),
        );
        expect(code).toBe(early ? "ISSUER_UNREACHABLE" : "JOIN_MALFORMED");
      }),
      { numRuns: 60 },
    );
    expect(options.kept).toHaveLength(0);
  });

  it("breaks off when `accept` does not believe the welcome, and says why", async () => {
    const { world, run, options } = await trap();
    const stranger = await createWorld();
    const code = await codeOf(
      run(async (issuer) => {
        issuer.send(challenge);
        sendWelcome(issuer, await goodWelcome(stranger, await issuer.receive()));
        // The test's accept throws a plain error, whose words are not for strangers.
        expect(await issuer.receive()).toMatchObject({ t: "refused", code: "INTERNAL" });
        await issuer.closed;
      }),
    );
    expect(code).toBe("INTERNAL");
    expect(options.kept).toHaveLength(0);
    const short = await codeOf(
      run(async (issuer) => {
        issuer.send(challenge);
        const welcome = decodeWelcome(await goodWelcome(world, await issuer.receive()));
        sendWelcome(issuer, encodeWelcome({ ...welcome, manifests: [{}, ...welcome.manifests.slice(1)] }));
        expect(await issuer.receive()).toMatchObject({ t: "refused" });
        await issuer.closed;
      }),
    );
    expect(short).toMatch(/^(JWS|MANIFEST)_/);
    expect(options.kept).toHaveLength(0);
  });

  it.each(["before the challenge", "after the secret", "inside the welcome", "before it is done"])(
    "hears of an issuer that dies %s, or falls silent there",
    async (step) => {
      const expected = {
        "before the challenge": ["ISSUER_UNREACHABLE", "ISSUER_UNREACHABLE"],
        "after the secret": ["JOIN_BROKEN_OFF", "JOIN_TIMEOUT"],
        "inside the welcome": ["JOIN_BROKEN_OFF", "JOIN_TIMEOUT"],
        "before it is done": ["JOIN_UNCONFIRMED", "JOIN_UNCONFIRMED"],
      }[step]!;
      for (const dies of [true, false]) {
        const { world, run, options } = await trap();
        const end = async (issuer: RawEnd) => {
          if (dies) issuer.connection.close();
          else await world.clock.advance(15_000);
          await issuer.closed;
        };
        const result = await run(async (issuer) => {
          if (step === "before the challenge") return end(issuer);
          issuer.send(challenge);
          const join = await issuer.receive();
          if (step === "after the secret") return end(issuer);
          const document = await goodWelcome(world, join);
          if (step === "inside the welcome") {
            issuer.send({ t: "welcome", bytes: document.length + 40_000 });
            return end(issuer);
          }
          sendWelcome(issuer, document);
          await issuer.receive();
          return end(issuer);
        });
        expect((result as FedError).code).toBe(expected[dies ? 0 : 1]);
        expect(options.kept).toHaveLength(step === "before it is done" ? 1 : 0);
        if (step === "before it is done") {
          const cause = dies ? "JOIN_BROKEN_OFF" : "JOIN_TIMEOUT";
          expect((result as FedError).cause).toMatchObject({ code: cause });
        }
      }
    },
  );

  it("is not kept going by an issuer that drips parts", async () => {
    const { world, run } = await trap();
    const code = await codeOf(
      run(async (issuer) => {
        issuer.send(challenge);
        await issuer.receive();
        issuer.send({ t: "welcome", bytes: 24 * 1024 * 1024 });
        for (let i = 0; i < 14; i++) {
          issuer.sendBytes(new Uint8Array(32_768));
          await world.clock.advance(1000);
        }
        await world.clock.advance(1000);
        await issuer.closed;
      }),
    );
    expect(code).toBe("JOIN_TIMEOUT");
  });

  it("takes the issuer's refusal at any step, its words without control characters", async () => {
    const { world, run } = await trap();
    const refused = { t: "refused", code: "TOKEN_USED", message: "a\u0007b\u009bc", hint: "d\ne", retryable: true };
    const error = (await run(async (issuer) => {
      issuer.send(challenge);
      await issuer.receive();
      issuer.send(refused);
      await issuer.closed;
    })) as FedError;
    expect(error).toMatchObject({
      name: "PeerError",
      code: "TOKEN_USED",
      message: "a b c",
      hint: "d e",
      retryable: true,
    });
    const late = (await run(async (issuer) => {
      issuer.send(challenge);
      sendWelcome(issuer, await goodWelcome(world, await issuer.receive()));
      await issuer.receive();
      issuer.send(refused);
      await issuer.closed;
    })) as FedError;
    expect(late.code).toBe("JOIN_UNCONFIRMED");
    expect(late.cause).toMatchObject({ code: "TOKEN_USED" });
  });

  it("refuses refusals that are not of their form", async () => {
    const { run } = await trap();
    const message = "No.";
    for (const refused of [
      { code: "lower", message },
      { message },
      { code: "A".repeat(65), message },
      { code: "NO" },
      { code: "NO", message, hint: 1 },
      { code: "NO", message, x: 1 },
    ]) {
      const code = await codeOf(
        run(async (issuer) => {
          issuer.send(challenge);
          await issuer.receive();
          issuer.send({ t: "refused", ...refused });
          await issuer.closed;
        }),
      );
      expect(code).toBe("JOIN_MALFORMED");
    }
  });

  it("stops at its signal in any step, and leaves no listener and no timer behind", async () => {
    const { world, run } = await trap();
    const controller = new AbortController();
    const code = await codeOf(
      run(
        async (issuer) => {
          issuer.send(challenge);
          await issuer.receive();
          controller.abort();
          expect(await issuer.receive()).toMatchObject({ t: "refused", code: "ABORTED" });
          await issuer.closed;
        },
        { signal: controller.signal },
      ),
    );
    expect(code).toBe("ABORTED");
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);

    const before = new AbortController();
    const early = await codeOf(
      run(
        async (issuer) => {
          before.abort();
          await issuer.closed;
        },
        { signal: before.signal },
      ),
    );
    expect(early).toBe("ABORTED");
    const { text } = await world.invite();
    await expectCode(world.join(text, { signal: before.signal }), "ABORTED");

    const good = await createWorld();
    const kept = new AbortController();
    const clock = countingClock();
    const { text: two } = await good.invite({ hints: ["lan:nobody", "lan:pc1"] });
    await good.join(two, { signal: kept.signal, clock });
    expect(clock.pending()).toBe(0);
    expect(getEventListeners(kept.signal, "abort")).toHaveLength(0);
  });

  it("gives up a dial that hangs, at the deadline", async () => {
    const world = await createWorld();
    const dialling = Promise.withResolvers<void>();
    const joining = world.join((await world.invite()).text, {
      dials: {
        lan: (_, { signal }) =>
          new Promise((_resolve, reject) => {
            signal!.addEventListener("abort", () => reject(signal!.reason));
            dialling.resolve();
          }),
      },
    });
    const refused = expectCode(joining, "ISSUER_UNREACHABLE");
    await dialling.promise;
    await world.clock.advance(15_000);
    expect((await refused).cause).toMatchObject({ code: "JOIN_TIMEOUT" });
  });

  it("refuses a token and a key that are none, before it dials", async () => {
    const world = await createWorld();
    await expectCode(world.join("fedpair1.x"), "TOKEN_MALFORMED");
    const key = { secretKey: new Uint8Array(31), publicKey: new Uint8Array(32) };
    await expectCode(world.join((await world.invite()).text, { key }), "BAD_KEY");
    expect(world.attempts).toHaveLength(0);
  });
});
