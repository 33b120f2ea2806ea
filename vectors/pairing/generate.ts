/**
 * Writes token.json, join.json and peer-state.json. Run in this folder: `node generate.ts`; the output is always the
 * same. Uses node:crypto and shares no code with the packages.
 */
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

function base32(bytes: Uint8Array): string {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  return (bits.match(/.{1,5}/g) ?? []).map((five) => alphabet[Number.parseInt(five.padEnd(5, "0"), 2)]).join("");
}

const base64url = (text: string | Uint8Array) => Buffer.from(text as string).toString("base64url");
const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();

function write(name: string, value: unknown): void {
  writeFileSync(new URL(name, import.meta.url), `${JSON.stringify(value, undefined, 2)}\n`);
}

const secret = "mfrggzdfmztwq2lknnwg23tpob";
const pin = sha256(Buffer.from("a CA certificate"));
const lan = "lan:192.168.1.20:7946";
const relay = "relay:eyJ1Ijoid3NzOi8vcmVsYXkuZXhhbXBsZSJ9";
const token = (hints: unknown, parts: { head?: string; secret?: string; pin?: string } = {}) =>
  [parts.head ?? "fedpair1", parts.secret ?? secret, parts.pin ?? base32(pin), base64url(JSON.stringify(hints))].join(".");
const withHints = (json: string | Uint8Array) => `fedpair1.${secret}.${base32(pin)}.${base64url(json)}`;
const good = token([lan]);
const code = "TOKEN_MALFORMED";

const valid = [
  ["one address", [lan]],
  ["two addresses, in order", [lan, relay]],
  ["eight addresses", Array.from({ length: 8 }, (_, i) => `lan:10.0.0.${i}:1`)],
  ["IPv6", ["lan:[fe80::1%25eth0]:7946"]],
  ["the longest scheme and the shortest rest", ["abcdefghijklmnop:x"]],
  ["characters that JSON escapes", ['lan:"\\']],
] as const;

write("token.json", {
  notes: [
    "`valid`: `text` parses to `secret`, `pin` (hex) and `hints`, and they format to exactly `text`.",
    "`invalid`: parsing `text` fails with `code`.",
  ],
  valid: valid.map(([name, hints]) => ({ name, text: token(hints), secret, pin: pin.toString("hex"), hints })),
  invalid: [
    ["empty", ""],
    ["another version", token([lan], { head: "fedpair2" })],
    ["upper-case prefix", token([lan], { head: "FEDPAIR1" })],
    ["three parts", good.split(".").slice(0, 3).join(".")],
    ["five parts", `${good}.x`],
    ["white space before", ` ${good}`],
    ["white space after", `${good}\n`],
    ["secret too short", token([lan], { secret: secret.slice(1) })],
    ["secret too long", token([lan], { secret: `${secret}a` })],
    ["secret in upper case", token([lan], { secret: secret.toUpperCase() })],
    ["secret outside the alphabet", token([lan], { secret: `${secret.slice(1)}1` })],
    ["pin of 31 bytes", token([lan], { pin: base32(pin.subarray(1)) })],
    ["pin of 33 bytes", token([lan], { pin: base32(Buffer.concat([pin, pin.subarray(0, 1)])) })],
    ["pin with unused bits set", token([lan], { pin: `${base32(pin).slice(0, -1)}7` })],
    ["pin with padding", token([lan], { pin: `${base32(pin)}====` })],
    ["pin in hex", token([lan], { pin: pin.toString("hex") })],
    ["no pin", token([lan], { pin: "" })],
    ["addresses with padding", `${withHints(`["${lan}x"]`)}=`],
    ["addresses in base64", withHints('["lan:????>>>>"]').replaceAll("_", "/").replaceAll("-", "+")],
    ["addresses with unused bits set", `${withHints('["lan:ab"]').slice(0, -1)}R`],
    ["addresses no UTF-8", withHints(Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d))],
    ["addresses no JSON", withHints(`["${lan}"`)],
    ["addresses not canonical: space", withHints(`[ "${lan}"]`)],
    ["addresses not canonical: escape", withHints('["lan:\\u0061"]')],
    ["addresses an object", withHints(`{"0":"${lan}"}`)],
    ["addresses a string", withHints(`"${lan}"`)],
    ["addresses nested", withHints(`[["${lan}"]]`)],
    ["no address", token([])],
    ["nine addresses", token(Array.from({ length: 9 }, (_, i) => `lan:10.0.0.${i}:1`))],
    ["an address that is a number", token([1])],
    ["an address without a scheme", token(["192.168.1.20"])],
    ["an address with an empty scheme", token([":x"])],
    ["an address with a scheme of 17 letters", token(["abcdefghijklmnopq:x"])],
    ["an address with an upper-case scheme", token(["LAN:x"])],
    ["an address with nothing after its scheme", token(["lan:"])],
    ["an address with a space", token(["lan:a b"])],
    ["an address with a line break", token(["lan:a\nb"])],
    ["an address beyond ASCII", token(["lan:ä"])],
    ["longer than 8192 characters", token([`lan:${"a".repeat(6100)}`])],
  ].map(([name, text]) => ({ name, text, code })),
});

const seed = Buffer.alloc(32, 3);
const key = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
  format: "der",
  type: "pkcs8",
});
const spki = createPublicKey(key).export({ format: "der", type: "spki" });
const der = (tag: number, ...parts: Uint8Array[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length], content].map((part) => Buffer.from(part as Uint8Array)));
};
const ed25519 = Buffer.from("300506032b6570", "hex");
const info = der(0x30, Buffer.from("020100", "hex"), der(0x30), spki, der(0xa0));
const csr = der(0x30, info, ed25519, der(0x03, Buffer.from([0]), sign(null, info, key)));

const nonce = Buffer.alloc(32, 1);
const noise = Buffer.alloc(32, 2);
const hubId = base32(Buffer.alloc(16, 4));
const name = "pc2";
const digest = sha256(pin, Buffer.from(secret + hubId), noise, Buffer.from(`${name}\0`), csr);
const joinInput = Buffer.concat([Buffer.from("fed-join/1"), nonce, digest]);
const document = Buffer.from('{"leaf":"AA","manifests":[],"clusterKey":"AA","revocations":null}');
const confirmInput = Buffer.concat([Buffer.from("fed-join-confirm/1"), sha256(document)]);

write("join.json", {
  notes: [
    "`join` is the message that a joiner with the leaf key `seed` (hex) answers `challenge` with; `joinInput` (hex) is what its proof signs.",
    "`confirm` is what it answers a welcome with whose document is the text `document`; `confirmInput` (hex) is what its proof signs.",
    "`invalid`: changing these members of `join` is refused with `code`.",
  ],
  seed: seed.toString("hex"),
  challenge: { t: "challenge", nonce: base64url(nonce) },
  join: {
    t: "join",
    v: 1,
    secret,
    pin: base64url(pin),
    hubId,
    name,
    csr: base64url(csr),
    noise: base64url(noise),
    proof: base64url(sign(null, joinInput, key)),
  },
  joinInput: joinInput.toString("hex"),
  document: document.toString(),
  confirm: { t: "confirm", proof: base64url(sign(null, confirmInput, key)) },
  confirmInput: confirmInput.toString("hex"),
  invalid: [
    ["another version", { v: 2 }, "JOIN_MALFORMED"],
    ["unknown member", { more: 1 }, "JOIN_MALFORMED"],
    ["secret of another form", { secret: secret.toUpperCase() }, "JOIN_MALFORMED"],
    ["pin of 31 bytes", { pin: base64url(pin.subarray(1)) }, "JOIN_MALFORMED"],
    ["hub id with unused bits set", { hubId: `${hubId.slice(0, -1)}b` }, "JOIN_MALFORMED"],
    ["name in upper case", { name: "PC2" }, "JOIN_MALFORMED"],
    ["name of 33 characters", { name: "a".repeat(33) }, "JOIN_MALFORMED"],
    ["name that begins with a hyphen", { name: "-a" }, "JOIN_MALFORMED"],
    ["request not in base64url", { csr: "+" }, "JOIN_MALFORMED"],
    ["noise key of 31 bytes", { noise: base64url(noise.subarray(1)) }, "JOIN_MALFORMED"],
    ["proof of 63 bytes", { proof: base64url(Buffer.alloc(63)) }, "JOIN_MALFORMED"],
    ["another cluster", { pin: base64url(sha256(Buffer.from("another CA"))) }, "JOIN_PROOF_INVALID"],
    ["another name", { name: "pc3" }, "JOIN_PROOF_INVALID"],
    ["another hub id", { hubId: base32(Buffer.alloc(16, 5)) }, "JOIN_PROOF_INVALID"],
    ["another noise key", { noise: base64url(Buffer.alloc(32, 6)) }, "JOIN_PROOF_INVALID"],
    ["another secret", { secret: "a".repeat(26) }, "JOIN_PROOF_INVALID"],
    ["a proof over another nonce", { proof: base64url(sign(null, Buffer.concat([Buffer.from("fed-join/1"), noise, digest]), key)) }, "JOIN_PROOF_INVALID"],
    ["a proof without its label", { proof: base64url(sign(null, joinInput.subarray(10), key)) }, "JOIN_PROOF_INVALID"],
    ["request with a forged signature", { csr: base64url(Buffer.concat([csr.subarray(0, -1), Buffer.from([csr.at(-1)! ^ 1])])) }, "CSR_BAD_SIGNATURE"],
    ["request cut short", { csr: base64url(csr.subarray(0, -1)) }, "CSR_MALFORMED"],
  ].map(([what, change, expected]) => ({ name: what, change, code: expected })),
});

const states = ["proposed", "accepted", "enrolled", "active", "degraded", "suspended", "revoked"];
const events = ["token-redeemed", "manifest-lists-it", "session-up", "session-lost", "suspend", "resume-with-proof", "revoke"];
const next: Record<string, string> = {
  "proposed token-redeemed": "accepted",
  "proposed revoke": "revoked",
  "accepted manifest-lists-it": "enrolled",
  "accepted session-up": "accepted",
  "accepted session-lost": "accepted",
  "accepted suspend": "suspended",
  "accepted revoke": "revoked",
  "enrolled session-up": "active",
  "enrolled session-lost": "enrolled",
  "enrolled suspend": "suspended",
  "enrolled revoke": "revoked",
  "active session-up": "active",
  "active session-lost": "degraded",
  "active suspend": "suspended",
  "active revoke": "revoked",
  "degraded session-up": "active",
  "degraded session-lost": "degraded",
  "degraded suspend": "suspended",
  "degraded revoke": "revoked",
  "suspended session-lost": "suspended",
  "suspended resume-with-proof": "enrolled",
  "suspended revoke": "revoked",
  "revoked session-lost": "revoked",
};
const pairs = states.flatMap((state) => events.map((event) => ({ state, event, next: next[`${state} ${event}`] })));

write("peer-state.json", {
  notes: ["Every pair of state and event stands here once: `valid` leads to `next`, `invalid` is refused with `code`."],
  states,
  events,
  valid: pairs.filter((pair) => pair.next !== undefined),
  invalid: pairs
    .filter((pair) => pair.next === undefined)
    .map(({ state, event }) => ({ state, event, code: "PEER_TRANSITION_FORBIDDEN" })),
});
