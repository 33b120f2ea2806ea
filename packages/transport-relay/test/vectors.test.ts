/** The language-neutral vectors of vectors/transport-relay, made by other code than ours. */
import { readFileSync } from "node:fs";
import { decodeHex, decodeUtf8, encodeHex, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { expect, test } from "vitest";
import { challengeInput, seedSigner, signCapabilityToken, verifyCapabilityToken } from "../src/capability-token.js";
import { decodeFrame, encodeFrame } from "../src/frame.js";
import { createHandshakeMac } from "../src/handshake-mac.js";
import { decodePlaintext, encodePlaintext } from "../src/plaintext.js";
import { createRecordCipher } from "../src/record.js";
import { deriveRelayKeys, formatAdmissionKey, parseAdmissionKey, routeOf } from "../src/relay-keys.js";

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/transport-relay/${name}`, import.meta.url), "utf8")) as T;
}

interface Admission {
  readonly clusterKey: string;
  readonly admissionKey: string;
  readonly tag: string;
  readonly hubId: string;
  readonly routes: readonly { readonly atMs: number; readonly route: string }[];
  readonly origin: string;
  readonly atMs: number;
  readonly tokens: readonly { readonly name: string; readonly token: string; readonly code?: string }[];
  readonly proof: {
    readonly route: string;
    readonly holderSeed: string;
    readonly challenge: string;
    readonly signature: string;
  };
}

const admission = read<Admission>("admission.json");
const keys = deriveRelayKeys(decodeHex(admission.clusterKey));

test("keys, tag and routes of a cluster", async () => {
  expect(formatAdmissionKey(keys.admissionPublicKey)).toBe(admission.admissionKey);
  expect(parseAdmissionKey(admission.admissionKey)).toEqual(keys.admissionPublicKey);
  expect(keys.tag).toBe(admission.tag);
  for (const { atMs, route } of admission.routes) {
    expect(encodeHex(routeOf(keys.routeKey, admission.hubId, atMs))).toBe(route);
  }
  for (const bad of ["", "fedrelay1.", `${admission.admissionKey}A`, admission.admissionKey.slice(1)]) {
    await expectCode(() => parseAdmissionKey(bad), "KEY_INVALID");
  }
  await expectCode(() => deriveRelayKeys(new Uint8Array(31)), "KEY_INVALID");
});

test("capability tokens, an invalid one for every rule", async () => {
  const { origin, atMs } = admission;
  const check = { admissionKeys: [keys.admissionPublicKey], origins: [origin], atMs };
  for (const { token, code, name } of admission.tokens) {
    const verify = () => verifyCapabilityToken(encodeUtf8(token), check);
    if (code !== undefined) await expectCode(verify, code);
    else expect(signCapabilityToken(verify(), seedSigner(keys.admissionSecretKey)), name).toBe(token);
  }
  console.info(`admission.json: ${admission.tokens.length} tokens, ${admission.routes.length} routes`);
});

test("the answer to a challenge", () => {
  const { route, holderSeed, challenge, signature } = admission.proof;
  const input = challengeInput(admission.origin, admission.tag, decodeHex(route), decodeHex(challenge));
  expect(encodeHex(seedSigner(decodeHex(holderSeed))(input))).toBe(signature);
});

test("outer frames", async () => {
  const frames = read<readonly { hex: string; type?: string; code?: string }[]>("frame.json");
  for (const { hex, type, code } of frames) {
    if (code !== undefined) await expectCode(() => decodeFrame(decodeHex(hex)), code);
    else {
      const frame = decodeFrame(decodeHex(hex));
      expect(frame.type).toBe(type);
      expect(encodeHex(encodeFrame(frame))).toBe(hex);
    }
  }
  console.info(`frame.json: ${frames.length} frames`);
});

test("records, one after the other", () => {
  const vector = read<{
    receiveKey: string;
    index: number;
    inOrder: readonly { name: string; hex: string; plaintext?: string }[];
  }>("record.json");
  const receiveKey = decodeHex(vector.receiveKey);
  const cipher = createRecordCipher(vector.index, {
    receiveKey,
    sendKey: new Uint8Array(32),
    handshakeHash: new Uint8Array(64),
  });
  for (const { name, hex, plaintext } of vector.inOrder) {
    const opened = cipher.open(decodeHex(hex));
    expect(opened && decodeUtf8(opened), name).toBe(plaintext);
  }
  console.info(`record.json: ${vector.inOrder.length} records`);
});

test("initiations, the MAC of each", () => {
  const vector = read<{
    responderKey: string;
    initiatorRoute: string;
    responderRoute: string;
    index: number;
    bodies: readonly { name: string; hex: string; message1?: string }[];
  }>("initiation.json");
  const mac = createHandshakeMac(decodeHex(vector.responderKey));
  const place = {
    initiatorRoute: decodeHex(vector.initiatorRoute),
    responderRoute: decodeHex(vector.responderRoute),
    index: vector.index,
  };
  for (const { name, hex, message1 } of vector.bodies) {
    const opened = mac.open(place, decodeHex(hex));
    expect(opened && encodeHex(opened), name).toBe(message1);
    if (message1 !== undefined) expect(encodeHex(mac.prepend(place, decodeHex(message1)))).toBe(hex);
  }
  console.info(`initiation.json: ${vector.bodies.length} initiations`);
});

test("what records carry", () => {
  const plaintexts =
    read<readonly { name: string; hex: string; type?: number; number?: number; body?: string }[]>("plaintext.json");
  for (const { name, hex, type, number, body } of plaintexts) {
    const decoded = decodePlaintext(decodeHex(hex));
    expect(decoded && { ...decoded, body: encodeHex(decoded.body) }, name).toEqual(
      body === undefined ? undefined : { type, number, body },
    );
    if (body !== undefined) expect(encodeHex(encodePlaintext(type!, number!, decodeHex(body))), name).toBe(hex);
  }
  console.info(`plaintext.json: ${plaintexts.length} plaintexts`);
});
