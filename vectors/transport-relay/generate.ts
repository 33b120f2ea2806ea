/**
 * Writes admission.json, frame.json, initiation.json, record.json and plaintext.json, valid and invalid cases of docs/spec/relay.md. Run in this folder:
 * `node generate.ts`; the output is always the same. Uses node:crypto and shares no code with the packages.
 */
import { createCipheriv, createHash, createHmac, createPrivateKey, createPublicKey, hkdfSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");
const secretOf = (seed: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: "der", type: "pkcs8" });
const publicOf = (seed: Uint8Array) =>
  createPublicKey(secretOf(seed)).export({ format: "der", type: "spki" }).subarray(12);
const b64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64url");
const derive = (key: Uint8Array, label: string) => Buffer.from(hkdfSync("sha256", key, Buffer.alloc(0), label, 32));

// §2 keys and routes
const clusterKey = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const admissionSeed = derive(clusterKey, "fed-relay-admission/1");
const admissionKey = publicOf(admissionSeed);
const tag = b64(createHash("sha256").update("fed-relay-tag/1").update(admissionKey).digest().subarray(0, 16));
const routeKey = derive(clusterKey, "fed-relay-route/1");
const hubId = "abcdefghijklmnopqrstuvwxy2";
const routes = [0, 86_399_999, 86_400_000, 1_800_000_000_000].map((atMs) => ({
  atMs,
  route: createHmac("sha256", routeKey)
    .update(`fed-relay-route/1 ${hubId} ${Math.floor(atMs / 86_400_000)}`)
    .digest()
    .subarray(0, 16)
    .toString("hex"),
}));

// §2 tokens
const origin = "wss://relay.example";
const atMs = 1_800_000_000_000;
const holderSeed = Buffer.alloc(32, 9);
const header = '{"alg":"Ed25519","typ":"fed-relay+jwt"}';
const claims = {
  aud: origin,
  ct: tag,
  rt: b64(Buffer.alloc(16, 5)),
  cls: "hub",
  cnf: { jwk: { kty: "OKP", crv: "Ed25519", x: b64(publicOf(holderSeed)) } },
  nbf: 1_799_999_700,
  exp: 1_800_086_100,
};
const jws = (head: string, payload: string, seed: Uint8Array = admissionSeed) => {
  const input = `${b64(head)}.${b64(payload)}`;
  return `${input}.${b64(sign(null, Buffer.from(input), secretOf(seed)))}`;
};
const token = (change: object, seed?: Uint8Array) => jws(header, JSON.stringify({ ...claims, ...change }), seed);
const good = token({});
const otherSeed = Buffer.alloc(32, 4);
const otherTag = b64(
  createHash("sha256").update("fed-relay-tag/1").update(publicOf(otherSeed)).digest().subarray(0, 16),
);
const jwk = claims.cnf.jwk;
const { nbf: _nbf, ...withoutNotBefore } = claims;
const tokens = [
  { name: "a hub's", token: good },
  { name: "a guest's", token: token({ cls: "guest" }) },
  { name: "exactly 24 hours, ends next second", token: token({ nbf: 1_799_913_601, exp: 1_800_000_001 }) },
  { name: "starts 300 s ahead", token: token({ nbf: 1_800_000_300 }) },
  { name: "starts 301 s ahead", token: token({ nbf: 1_800_000_301 }), code: "TOKEN_EXPIRED" },
  { name: "ends now", token: token({ nbf: 1_799_999_000, exp: 1_800_000_000 }), code: "TOKEN_EXPIRED" },
  { name: "lives 24 hours and a second", token: token({ exp: 1_800_086_101 }), code: "TOKEN_INVALID" },
  { name: "for another relay", token: token({ aud: "wss://other.example" }), code: "TOKEN_AUDIENCE" },
  { name: "origin with a path", token: token({ aud: `${origin}/` }), code: "TOKEN_AUDIENCE" },
  { name: "of an unknown cluster", token: token({ ct: otherTag }, otherSeed), code: "TOKEN_KEY_UNKNOWN" },
  { name: "signed by another key", token: token({}, otherSeed), code: "TOKEN_INVALID" },
  { name: "unknown class", token: token({ cls: "relay" }), code: "TOKEN_INVALID" },
  { name: "one claim more", token: token({ sub: "x" }), code: "TOKEN_INVALID" },
  { name: "one claim less", token: jws(header, JSON.stringify(withoutNotBefore)), code: "TOKEN_INVALID" },
  { name: "a claim twice", token: jws(header, `{"aud":"x",${JSON.stringify(claims).slice(1)}`), code: "TOKEN_INVALID" },
  { name: "fractional seconds", token: token({ nbf: 1_799_999_700.5 }), code: "TOKEN_INVALID" },
  { name: "route of 15 bytes", token: token({ rt: b64(Buffer.alloc(15)) }), code: "TOKEN_INVALID" },
  {
    name: "key of 31 bytes",
    token: token({ cnf: { jwk: { ...jwk, x: b64(Buffer.alloc(31)) } } }),
    code: "TOKEN_INVALID",
  },
  { name: "key of another curve", token: token({ cnf: { jwk: { ...jwk, crv: "X25519" } } }), code: "TOKEN_INVALID" },
  { name: "a private key in it", token: token({ cnf: { jwk: { ...jwk, d: "AA" } } }), code: "TOKEN_INVALID" },
  {
    name: "alg none",
    token: `${b64('{"alg":"none","typ":"fed-relay+jwt"}')}.${good.split(".")[1]}.`,
    code: "TOKEN_INVALID",
  },
  { name: "another typ", token: jws('{"alg":"Ed25519","typ":"JWT"}', JSON.stringify(claims)), code: "TOKEN_INVALID" },
  { name: "padding", token: `${good}==`, code: "TOKEN_INVALID" },
  { name: "four parts", token: `${good}.AA`, code: "TOKEN_INVALID" },
  { name: "no signature", token: `${good.split(".").slice(0, 2).join(".")}.`, code: "TOKEN_INVALID" },
  { name: "not JSON", token: jws(header, "{"), code: "TOKEN_INVALID" },
  { name: "empty", token: "", code: "TOKEN_INVALID" },
  { name: "larger than 1024 bytes", token: token({ aud: "x".repeat(1024) }), code: "TOKEN_INVALID" },
];

const challenge = Buffer.alloc(32, 6);
const zero = Buffer.of(0);
const parts = ["fed-relay-challenge/1", zero, origin, zero, tag, zero, Buffer.alloc(16, 5), challenge];
const challengeInput = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
write("admission.json", {
  clusterKey: clusterKey.toString("hex"),
  admissionKey: `fedrelay1.${b64(admissionKey)}`,
  tag,
  hubId,
  routes,
  origin,
  atMs,
  tokens,
  proof: {
    route: Buffer.alloc(16, 5).toString("hex"),
    holderSeed: holderSeed.toString("hex"),
    challenge: challenge.toString("hex"),
    signature: sign(null, challengeInput, secretOf(holderSeed)).toString("hex"),
  },
});

// §1 frames
const route = "05".repeat(16);
const malformed = "FRAME_MALFORMED";
write("frame.json", [
  { hex: `0100${Buffer.from("a.b.c").toString("hex")}`, type: "hello" },
  { hex: `0200${"06".repeat(32)}`, type: "challenge" },
  { hex: `0200${"06".repeat(31)}`, code: malformed },
  { hex: `0300${"07".repeat(64)}`, type: "proof" },
  { hex: `0300${"07".repeat(65)}`, code: malformed },
  { hex: "040000100000", type: "welcome" },
  { hex: "0400001000", code: malformed },
  { hex: `1000${route}ff`, type: "send" },
  { hex: `1000${route}`, code: malformed },
  { hex: `1000${"05".repeat(15)}`, code: malformed },
  { hex: `1001${route}ff`, code: malformed },
  { hex: `1100${route}ff`, type: "recv" },
  { hex: "1200001fffffffffffff", type: "ack" },
  { hex: "12000020000000000000", code: malformed },
  { hex: "120000", code: malformed },
  { hex: `1300${route}01`, type: "peer" },
  { hex: `1300${route}02`, code: malformed },
  { hex: `1400${route}`, type: "noRoute" },
  { hex: `1400${route}00`, code: malformed },
  { hex: `1500${route}01`, type: "reset" },
  { hex: "1600000003e8", type: "rate" },
  { hex: "17000000138800000000", type: "restarting" },
  { hex: "1700000013880000", code: malformed },
  { hex: "0000", code: malformed },
  { hex: "1800", code: malformed },
  { hex: "10", code: malformed },
  { hex: "", code: malformed },
]);

// §5 the MAC before message 1
const responderKey = Buffer.alloc(32, 2);
const routes16 = { initiator: Buffer.alloc(16, 3), responder: Buffer.alloc(16, 5) };
const message1 = Buffer.alloc(100, 8);
const macOf = (change: { label?: string; index?: number; initiator?: Buffer; message?: Buffer } = {}) => {
  const { label = "fed-relay-mac/1", index = 7, initiator = routes16.initiator, message = message1 } = change;
  const key = createHash("sha256").update(label).update(responderKey).digest();
  const indexBytes = Buffer.alloc(4);
  indexBytes.writeUInt32BE(index);
  const mac = createHmac("sha256", key).update(initiator).update(routes16.responder).update(indexBytes).update(message);
  return mac.digest().subarray(0, 16);
};
const initiation = (mac: Uint8Array, message = message1) => Buffer.concat([mac, message]).toString("hex");
write("initiation.json", {
  responderKey: responderKey.toString("hex"),
  initiatorRoute: routes16.initiator.toString("hex"),
  responderRoute: routes16.responder.toString("hex"),
  index: 7,
  bodies: [
    { name: "good", hex: initiation(macOf()), message1: message1.toString("hex") },
    { name: "no message", hex: initiation(macOf({ message: Buffer.alloc(0) }), Buffer.alloc(0)), message1: "" },
    { name: "another label", hex: initiation(macOf({ label: "fed-relay-mac/2" })) },
    { name: "another index", hex: initiation(macOf({ index: 8 })) },
    { name: "another source", hex: initiation(macOf({ initiator: routes16.responder })) },
    { name: "another message", hex: initiation(macOf(), Buffer.alloc(100, 9)) },
    { name: "one byte less", hex: initiation(macOf()).slice(0, -2) },
    { name: "shorter than a MAC", hex: "00".repeat(15) },
  ],
});

// §7 plaintexts
const plaintext = (type: number, padding: number, number: number, body: string, zeros = padding) => {
  const head = Buffer.alloc(9);
  head[0] = type;
  head.writeUInt16BE(padding, 1);
  head.writeUIntBE(number, 3, 6);
  return Buffer.concat([head, Buffer.from(body, "hex"), Buffer.alloc(zeros)]).toString("hex");
};
const means = (type: number, number: number, body: string) => ({ type, number, body });
write("plaintext.json", [
  { name: "CONFIRM", hex: plaintext(0, 55, 0, ""), ...means(0, 0, "") },
  { name: "ACK", hex: plaintext(4, 47, 2 ** 40, "0000000000080000"), ...means(4, 2 ** 40, "0000000000080000") },
  { name: "64 bytes", hex: plaintext(3, 0, 1, "07".repeat(55)), ...means(3, 1, "07".repeat(55)) },
  { name: "65 bytes", hex: plaintext(3, 63, 1, "07".repeat(56)), ...means(3, 1, "07".repeat(56)) },
  { name: "1024 bytes", hex: plaintext(3, 0, 1, "07".repeat(1_015)), ...means(3, 1, "07".repeat(1_015)) },
  { name: "1025 bytes", hex: plaintext(3, 0, 1, "07".repeat(1_016)), ...means(3, 1, "07".repeat(1_016)) },
  { name: "the last sequence", hex: plaintext(3, 54, 2 ** 48 - 1, "01"), ...means(3, 2 ** 48 - 1, "01") },
  { name: "not padded", hex: plaintext(3, 0, 1, "07") },
  { name: "padded too far", hex: plaintext(3, 118, 1, "07") },
  { name: "padded where nothing is", hex: plaintext(3, 1, 1, "07".repeat(1_016)) },
  { name: "more padding than there is", hex: plaintext(3, 56, 1, "", 55) },
  { name: "half a header", hex: "03000000" },
  { name: "empty", hex: "" },
]);

// §6 records
const sendKey = Buffer.alloc(32, 1);
const record = (counter: number, plaintext: string, index = 7) => {
  const head = Buffer.alloc(13);
  head[0] = 3;
  head.writeUInt32BE(index, 1);
  head.writeBigUInt64BE(BigInt(counter), 5);
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  const cipher = createCipheriv("chacha20-poly1305", sendKey, nonce, { authTagLength: 16 });
  cipher.setAAD(head, { plaintextLength: plaintext.length });
  return Buffer.concat([head, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString("hex");
};
write("record.json", {
  receiveKey: sendKey.toString("hex"),
  index: 7,
  inOrder: [
    { name: "first", hex: record(0, "a"), plaintext: "a" },
    { name: "again", hex: record(0, "a") },
    { name: "of another connection", hex: record(1, "b", 8) },
    { name: "counter of 2^48", hex: record(2 ** 48, "c") },
    {
      name: "a flipped bit",
      hex: record(1, "d").replace(/.$/, (last) => ((Number.parseInt(last, 16) ^ 1) & 15).toString(16)),
    },
    { name: "only a header and part of a tag", hex: record(1, "").slice(0, -2) },
    { name: "a jump", hex: record(9_000, "e"), plaintext: "e" },
    { name: "the oldest in the window", hex: record(809, "f"), plaintext: "f" },
    { name: "just too old", hex: record(808, "g") },
  ],
});

function write(name: string, value: unknown): void {
  writeFileSync(name, `${JSON.stringify(value, null, 2)}\n`);
}
