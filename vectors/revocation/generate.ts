/**
 * Writes list.json: signed revocation lists, valid and invalid. Run in this folder: `node generate.ts`; the output is
 * always the same. Signs with node:crypto and shares no code with the packages.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

interface Key {
  secret: KeyObject;
  x: string;
  kid: string;
}

function keyFromSeed(byte: number): Key {
  const seed = Buffer.alloc(32, byte);
  const secret = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
    format: "der",
    type: "pkcs8",
  });
  const { x } = createPublicKey(secret).export({ format: "jwk" }) as { x: string };
  const kid = createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest("base64url");
  return { secret, x, kid };
}

/** RFC 8785 for what stands here: sorted names, no white space, integers. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical((value as Record<string, unknown>)[name])}`).join(",")}}`;
}

function jws(text: string, keys: readonly Key[], typ: string) {
  const payload = Buffer.from(text).toString("base64url");
  return {
    payload,
    signatures: keys.map(({ secret, kid }) => {
      const header = Buffer.from(JSON.stringify({ alg: "Ed25519", typ, kid })).toString("base64url");
      return {
        protected: header,
        signature: sign(null, Buffer.from(`${header}.${payload}`), secret).toString("base64url"),
      };
    }),
  };
}

function base32(bytes: Buffer): string {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(five.padEnd(5, "0"), 2)])
    .join("");
}

const [founder, deputy, third, stranger] = [1, 2, 3, 4].map(keyFromSeed) as [Key, Key, Key, Key];
const authority = (threshold: number, keys: Key[]) => ({ threshold, keys: keys.map(({ kid, x }) => ({ kid, x })) });
const hash = (text: string) => createHash("sha256").update(text).digest();

const start = 1_800_000_000;
const genesis = {
  type: "fed-manifest",
  suite: "ed25519-1",
  cluster: { name: "vectors", salt: Buffer.alloc(16, 9).toString("base64url") },
  version: 1,
  previous: null as string | null,
  issuedAt: start,
  expiresAt: start + 31_536_000,
  authority: authority(1, [founder]),
  cas: [],
  members: [],
  relays: [],
};
const genesisText = canonical(genesis);
const clusterId = base32(hash(genesisText));
const second = canonical({
  ...genesis,
  version: 2,
  previous: hash(genesisText).toString("base64url"),
  issuedAt: start + 60,
  authority: authority(2, [founder, deputy, third]),
});
const manifests = [
  jws(genesisText, [founder], "fed-manifest+json"),
  jws(second, [founder, deputy], "fed-manifest+json"),
];

const hub = (byte: number) => base32(Buffer.alloc(16, byte));
const at = start + 3600;
const by = hub(1);
const entry = (kind: string, id: string, more: object = {}) => ({ kind, id, reason: "left", at, by, ...more });
const entries = [
  entry("hub", hub(2), { reason: "laptop stolen" }),
  entry("leaf", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
  entry("spki", hash("key").toString("base64url")),
  entry("operator", `alice@${hub(1)}`, { reason: "" }),
  entry("link", "link-1"),
  entry("token", "token-1", { reason: "r".repeat(256) }),
  entry("grant", "grant-1", { reason: "Ausgeschieden – Schlüssel zurückgegeben" }),
];
const document = (all: object[], more: object = {}) => ({
  type: "fed-revocations",
  clusterId,
  number: all.length,
  issuedAt: at,
  entries: all,
  ...more,
});
const typ = "fed-revocations+jws";
const both = [founder, deputy];
const signed = (value: object, keys = both, type = typ) => jws(canonical(value), keys, type);

const current = signed(document(entries.slice(0, 3)));
const full = signed(document(entries));
const otherReason = document([{ ...entries[0], reason: "sold" }, ...entries.slice(1)]);

const valid = [
  { name: "nothing revoked", signed: signed(document([])), number: 0 },
  { name: "one entry of each kind", signed: full, number: 7 },
  { name: "signed by the two others", signed: signed(document(entries), [third, deputy]), number: 7 },
  {
    name: "signed by all three and a stranger",
    signed: signed(document(entries), [stranger, founder, deputy, third]),
    number: 7,
  },
  { name: "extends the current list", current, signed: full, number: 7 },
  { name: "the current list again", current, signed: current, number: 3 },
  {
    name: "the current list, signed anew",
    current,
    signed: signed(document(entries.slice(0, 3), { issuedAt: at + 9 }), [third, deputy]),
    number: 3,
  },
];

const spoiled = {
  ...full,
  signatures: full.signatures.map((one, i) => (i === 0 ? { ...one, signature: full.signatures[1]!.signature } : one)),
};
const withEntry = (one: object) => signed(document([...entries, one]));
const without = (name: string) => {
  const copy: Record<string, unknown> = entry("link", "link-2");
  delete copy[name];
  return copy;
};
const malformed = "REVOCATION_MALFORMED";
const badEntry = "REVOCATION_INVALID_ENTRY";
const invalid = [
  { name: "one signature of two", code: "TOO_FEW_SIGNATURES", signed: signed(document(entries), [founder]) },
  {
    name: "one signature and a stranger's",
    code: "TOO_FEW_SIGNATURES",
    signed: signed(document(entries), [founder, stranger]),
  },
  { name: "one key twice", code: "JWS_MALFORMED", signed: signed(document(entries), [founder, founder]) },
  { name: "no signature", code: "JWS_MALFORMED", signed: { ...full, signatures: [] } },
  { name: "a wrong signature", code: "BAD_SIGNATURE", signed: spoiled },
  {
    name: "a payload that was not signed",
    code: "BAD_SIGNATURE",
    signed: { ...full, payload: signed(otherReason).payload },
  },
  {
    name: "another kind of document",
    code: "JWS_WRONG_TYPE",
    signed: signed(document(entries), both, "fed-manifest+json"),
  },
  { name: "not a JWS", code: "JWS_MALFORMED", signed: document(entries) },
  {
    name: "another cluster's",
    code: "REVOCATION_WRONG_CLUSTER",
    signed: signed(document(entries, { clusterId: base32(hash("other")) })),
  },
  { name: "not JSON", code: malformed, signed: jws("{", both, typ) },
  { name: "not canonical", code: malformed, signed: jws(JSON.stringify(document(entries)), both, typ) },
  {
    name: "a name twice",
    code: malformed,
    signed: jws(canonical(document(entries)).replace("{", '{"number":7,'), both, typ),
  },
  { name: "not an object", code: malformed, signed: jws("[]", both, typ) },
  { name: "another type", code: malformed, signed: signed(document(entries, { type: "fed-manifest" })) },
  { name: "a member too many", code: malformed, signed: signed(document(entries, { nextUpdate: at })) },
  { name: "a number above its size", code: malformed, signed: signed(document(entries, { number: 8 })) },
  { name: "a number below its size", code: malformed, signed: signed(document(entries, { number: 6 })) },
  { name: "a time that is no integer", code: malformed, signed: signed(document(entries, { issuedAt: 1.5 })) },
  { name: "entries that are no array", code: malformed, signed: signed(document([], { entries: {} })) },
  { name: "the same thing twice", code: "REVOCATION_DUPLICATE", signed: withEntry(entries[0]!) },
  {
    name: "the same thing twice, for other reasons",
    code: "REVOCATION_DUPLICATE",
    signed: withEntry({ ...entries[0], reason: "again" }),
  },
  { name: "an unknown kind", code: badEntry, signed: withEntry(entry("planet", "mars")) },
  { name: "a kind that every object has", code: badEntry, signed: withEntry(entry("constructor", "x")) },
  {
    name: "an entry that is no object",
    code: badEntry,
    signed: jws(canonical(document([...entries, "hub" as unknown as object])), both, typ),
  },
  {
    name: "an entry with a member too many",
    code: badEntry,
    signed: withEntry(entry("link", "link-2", { until: at })),
  },
  ...["kind", "id", "reason", "at", "by"].map((name) => ({
    name: `an entry without ${name}`,
    code: badEntry,
    signed: withEntry(without(name)),
  })),
  { name: "a hub id in capitals", code: badEntry, signed: withEntry(entry("hub", hub(5).toUpperCase())) },
  { name: "a serial in capitals", code: badEntry, signed: withEntry(entry("leaf", "0A1B")) },
  { name: "a serial of half a byte", code: badEntry, signed: withEntry(entry("leaf", "0a1")) },
  {
    name: "a key hash with padding",
    code: badEntry,
    signed: withEntry(entry("spki", `${hash("k").toString("base64url")}=`)),
  },
  { name: "a key hash with loose bits", code: badEntry, signed: withEntry(entry("spki", `${"A".repeat(42)}B`)) },
  { name: "an operator without a hub", code: badEntry, signed: withEntry(entry("operator", "alice")) },
  { name: "an empty id", code: badEntry, signed: withEntry(entry("token", "")) },
  { name: "an id with a space", code: badEntry, signed: withEntry(entry("token", "token 2")) },
  { name: "an id of 129 characters", code: badEntry, signed: withEntry(entry("token", "t".repeat(129))) },
  {
    name: "a reason of 257 characters",
    code: badEntry,
    signed: withEntry(entry("link", "link-2", { reason: "r".repeat(257) })),
  },
  {
    name: "a reason with a control character",
    code: badEntry,
    signed: withEntry(entry("link", "link-2", { reason: "\u001b[2J" })),
  },
  {
    name: "a reason that turns the text around",
    code: badEntry,
    signed: withEntry(entry("link", "link-2", { reason: "\u202e" })),
  },
  { name: "a time before 1970", code: badEntry, signed: withEntry(entry("link", "link-2", { at: -1 })) },
  { name: "a time as text", code: badEntry, signed: withEntry(entry("link", "link-2", { at: "now" })) },
  { name: "by somebody who is no hub", code: badEntry, signed: withEntry(entry("link", "link-2", { by: "me" })) },
  {
    name: "smaller than the current list",
    code: "REVOCATION_ROLLBACK",
    current,
    signed: signed(document(entries.slice(0, 2))),
  },
  { name: "empty after the current list", code: "REVOCATION_ROLLBACK", current, signed: signed(document([])) },
  {
    name: "without an entry of the current list",
    code: "REVOCATION_FORK",
    current,
    signed: signed(document(entries.slice(1))),
  },
  { name: "an entry of the current list reworded", code: "REVOCATION_FORK", current, signed: signed(otherReason) },
  {
    name: "an entry of the current list at another time",
    code: "REVOCATION_FORK",
    current,
    signed: signed(document([{ ...entries[0], at: at - 1 }, ...entries.slice(1)])),
  },
  {
    name: "in another order",
    code: "REVOCATION_FORK",
    current,
    signed: signed(document([entries[1]!, entries[0]!, ...entries.slice(2)])),
  },
  { name: "smaller and different", code: "REVOCATION_FORK", current, signed: signed(document([entries[5]!])) },
];

const notes = [
  "`manifests`: a chain of signed manifests; the last one's authority (2 of 3) signs lists of `clusterId`.",
  "`valid`: verifying `signed` after `current` (if given) succeeds with `number` entries.",
  "`invalid`: it fails with `code`.",
];
writeFileSync(
  "list.json",
  `${JSON.stringify({ notes, clusterId, nowMs: (start + 7200) * 1000, manifests, valid, invalid }, null, 1)}\n`,
);
console.log(`${valid.length} valid, ${invalid.length} invalid`);
