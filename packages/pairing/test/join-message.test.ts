import { readFileSync } from "node:fs";
import { type Connection, decodeHex, encodeHex, encodeUtf8, toFedError } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { createSigner, verifyCsr } from "@fed/trust";
import { describe, expect, it, vi } from "vitest";
import { acceptJoin, createTokenBook } from "../src/index.js";
import {
  confirmMessage,
  confirmProofInput,
  decodeWelcome,
  encodeWelcome,
  type JoinMessage,
  joinMessage,
  joinProofInput,
  readChallenge,
  readConfirm,
  readJoin,
} from "../src/join-message.js";
import { rawEnd } from "./world.js";

interface Vectors {
  seed: string;
  challenge: JoinMessage;
  join: JoinMessage;
  joinInput: string;
  document: string;
  confirm: JoinMessage;
  confirmInput: string;
  invalid: { name: string; change: Partial<JoinMessage>; code: string }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/pairing/join.json", import.meta.url), "utf8"),
) as Vectors;

describe("vectors/pairing/join.json", () => {
  const signer = createSigner(decodeHex(vectors.seed));
  const nonce = readChallenge(vectors.challenge);

  it("has the joiner's two messages", () => {
    const { claim, proof } = readJoin(vectors.join);
    expect(verifyCsr(claim.csr).publicKey).toEqual(signer.publicKey);
    expect(encodeHex(joinProofInput(nonce, claim))).toBe(vectors.joinInput);
    expect(signer.sign(joinProofInput(nonce, claim))).toEqual(proof);
    expect(joinMessage(claim, proof)).toEqual(vectors.join);
    const input = confirmProofInput(encodeUtf8(vectors.document));
    expect(encodeHex(input)).toBe(vectors.confirmInput);
    expect(readConfirm(vectors.confirm)).toEqual(signer.sign(input));
    expect(confirmMessage(signer.sign(input))).toEqual(vectors.confirm);
  });

  /** What the issuer says to `join`, its nonce being the vectors'; nothing is open, so a good one is TOKEN_UNKNOWN. */
  async function answerTo(join: object): Promise<string> {
    const { createMemoryNetwork } = await import("@fed/core/memory");
    const network = createMemoryNetwork();
    const guests = Promise.withResolvers<Connection>();
    const identity = { hubId: "a".repeat(26), clusterId: "", name: "pc1", thumbprint: "", serial: "", spki: "" };
    const transport = network.transport({ identity, name: "lan" });
    await transport.listen({ connection() {}, guest: guests.resolve });
    const guest = rawEnd(await network.guestDial(`lan:${identity.hubId}`, { authenticateResponder() {} }));
    const random = vi.spyOn(crypto, "getRandomValues").mockImplementation((array) => {
      (array as Uint8Array).set(nonce);
      return array;
    });
    const accepting = acceptJoin(await guests.promise, {
      tokens: createTokenBook({ store: createMemoryStore() }),
      pins: [readJoin(vectors.join).claim.pin],
      admit() {},
      enroll: () => Promise.reject(new Error("unreachable")),
    }).catch(toFedError);
    random.mockRestore();
    expect(await guest.receive()).toEqual(vectors.challenge);
    guest.send(join);
    const outcome = await accepting;
    return "code" in outcome ? outcome.code : "joined";
  }

  it("valid: the join", async () => {
    expect(await answerTo(vectors.join)).toBe("TOKEN_UNKNOWN");
  });

  it.each(vectors.invalid)("invalid: $name", async ({ change, code }) => {
    expect(await answerTo({ ...vectors.join, ...change })).toBe(code);
  });

  it("has cases", () => {
    console.info(`join.json: 1 valid, ${vectors.invalid.length} invalid cases ran`);
    expect(vectors.invalid.length).toBeGreaterThanOrEqual(20);
  });
});

describe("encodeWelcome", () => {
  it("is undone by decodeWelcome", () => {
    const welcome = {
      leaf: Uint8Array.of(1, 2, 3),
      manifests: [{ payload: "a" }, { payload: "ß" }],
      clusterKey: new Uint8Array(32).fill(5),
      revocations: { payload: "b" },
    };
    expect(decodeWelcome(encodeWelcome(welcome))).toEqual(welcome);
    expect(decodeWelcome(encodeWelcome({ ...welcome, revocations: null })).revocations).toBeNull();
    expect(decodeWelcome(encodeWelcome({ ...welcome, revocations: undefined })).revocations).toBeNull();
  });
});
