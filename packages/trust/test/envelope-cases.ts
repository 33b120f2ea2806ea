/** The cases of vectors/trust/envelope.json: every MUST of docs/spec/envelope.md, kept once and broken once. */
import { encodeBase64Url, encodeUtf8 } from "@fed/core";
import { type Envelope, sha256, type signHop } from "../src/index.js";
import {
  alice,
  alpha,
  body,
  bravo,
  charlie,
  clusterId,
  contextOf,
  delta,
  envelopeAlong,
  forge,
  headerOf,
  hop,
  hopType,
  hubs,
  id,
  nowMs,
  origin,
  originType,
  partsOf,
  reclaim,
  type TestHub,
} from "./envelope-world.js";

export interface EnvelopeCase {
  readonly name: string;
  /** The rule kept or the attack tried. */
  readonly flag: string;
  /** Presented in order to one receiver; all but the last are accepted. */
  readonly envelopes: readonly Envelope[];
  /** What differs from the context that all cases share. */
  readonly context?: {
    readonly peer?: string;
    readonly atMs?: number;
    readonly body?: string;
    readonly strangers?: readonly string[];
  };
  /** The refusal of the last; absent: it is accepted with this result. */
  readonly code?: string;
  readonly accepted?: {
    operator: string;
    forwarder: string;
    hubs: string[];
    roles: string[];
    scope: string[];
    hop: number;
  };
}

export interface EnvelopeVectors {
  readonly notes: Record<string, string>;
  readonly hubs: Record<string, { hubId: string; secretKey: string; publicKey: string; thumbprint: string }>;
  readonly context: { self: string; epoch: string; audience: string; peer: string; body: string; atMs: number };
  readonly cases: readonly EnvelopeCase[];
}

const direct = envelopeAlong([alpha, bravo]);
const relayed = envelopeAlong([alpha, charlie, bravo]);
const otherBody = sha256(encodeUtf8("another body"));
const moreRights = origin({ roles: ["ops", "admin"], txn: id("another txn") });

function accepts(
  name: string,
  envelope: Envelope,
  context: EnvelopeCase["context"] & { forwarder?: TestHub; hubs?: TestHub[]; scope?: string[]; roles?: string[] } = {},
): EnvelopeCase {
  const {
    forwarder = alpha,
    hubs: named = [alpha],
    scope = ["apps:list", "apps:call"],
    roles = ["ops"],
    ...rest
  } = context;
  return {
    name,
    flag: "Valid",
    envelopes: [envelope],
    ...(Object.keys(rest).length > 0 && { context: rest }),
    accepted: {
      operator: alice,
      forwarder: forwarder.hubId,
      hubs: named.map((hub) => hub.hubId),
      roles,
      scope,
      hop: (envelope.via?.length ?? 0) + 1,
    },
  };
}

function refuses(
  flag: string,
  name: string,
  code: string,
  envelopes: Envelope | readonly Envelope[],
  context?: EnvelopeCase["context"],
): EnvelopeCase {
  const list = Array.isArray(envelopes) ? (envelopes as Envelope[]) : [envelopes as Envelope];
  return { name, flag, envelopes: list, ...(context && { context }), code };
}

/** The good direct envelope with its hop proof's claims changed. */
const withHop = (changes: Record<string, unknown>): Envelope => ({ ...direct, hop: reclaim(direct.hop, changes) });

/** A good envelope around an origin assertion with changed claims. */
function withOrigin(changes: Record<string, unknown>): Envelope {
  const token = reclaim(direct.origin, changes);
  return { origin: token, hop: hop(alpha, bravo, { origin: token }) };
}

/** The good direct envelope with its hop proof's header or payload written by hand. */
function withHopText(header: (good: string) => string, payload: (good: string) => string = (good) => good): Envelope {
  const [goodHeader, goodPayload] = partsOf(direct.hop);
  const token = forge(header(JSON.stringify(goodHeader)), payload(JSON.stringify(goodPayload)), alpha.signer);
  return { ...direct, hop: token };
}

const withHeader = (changes: Record<string, unknown>): Envelope =>
  withHopText((good) => JSON.stringify({ ...JSON.parse(good), ...changes }));

const same = (good: string): string => good;

/** Charlie's hop proof on top of `via`, the last of which was made for it. */
function fromCharlie(via: readonly string[], changes: Partial<Parameters<typeof signHop>[1]> = {}): Envelope {
  return { origin: origin(), via, hop: hop(charlie, bravo, { hop: 2, previousHop: via.at(-1), ...changes }) };
}

const toCharlie = hop(alpha, charlie);
const sender = { peer: charlie.name };

const valid: EnvelopeCase[] = [
  accepts("one hop", direct),
  accepts("one hop that hands on less scope", envelopeAlong([alpha, bravo], { scope: ["apps:list"] }), {
    scope: ["apps:list"],
  }),
  accepts("no scope and no roles", withBare(), { scope: [], roles: [] }),
  accepts("two hops", relayed, { ...sender, forwarder: charlie, hubs: [alpha, charlie] }),
  accepts("four hops, two of them through the same hub", envelopeAlong([alpha, charlie, delta, charlie, bravo]), {
    ...sender,
    forwarder: charlie,
    hubs: [alpha, charlie, delta],
  }),
  accepts("sender's clock 5 seconds ahead", direct, { atMs: nowMs - 5000 }),
  accepts("last millisecond, sender's clock 5 seconds behind", direct, { atMs: nowMs + 64_999 }),
];

const invalid: EnvelopeCase[] = [
  refuses("Replay", "the same envelope twice", "REPLAYED", [direct, direct]),
  refuses("Replay", "the same jti signed again with another expiry", "REPLAYED", [
    direct,
    { ...direct, hop: hop(alpha, bravo, { lifetimeMs: 30_000 }) },
  ]),
  refuses(
    "Replay",
    "one call turned into two by its forwarder",
    "REPLAYED",
    [fromCharlie([toCharlie], { jti: id("first") }), fromCharlie([toCharlie], { jti: id("second") })],
    sender,
  ),
  refuses("StolenEnvelope", "sent by another member than made it", "WRONG_SENDER", direct, sender),
  refuses("StolenEnvelope", "made for another leaf of the sender", "WRONG_SENDER", {
    ...direct,
    hop: hop(alpha, bravo, { thumbprint: charlie.thumbprint }),
  }),
  refuses("OtherAudience", "hop proof for another hub", "WRONG_AUDIENCE", { ...direct, hop: hop(alpha, charlie) }),
  refuses(
    "OtherAudience",
    "origin assertion for another cluster",
    "WRONG_AUDIENCE",
    withOrigin({ aud: `${clusterId.slice(0, -2)}aa` }),
  ),
  refuses("OtherBody", "body changed on the way", "BODY_MISMATCH", direct, { body: `${body} ` }),
  refuses(
    "OtherBody",
    "body changed by the forwarder, who signs for its own version",
    "BODY_MISMATCH",
    fromCharlie([hop(alpha, charlie, { bodyDigest: otherBody })]),
    sender,
  ),
  refuses("OtherEpoch", "made for an earlier boot of the receiver", "WRONG_EPOCH", {
    ...direct,
    hop: hop(alpha, bravo, { epoch: id("earlier boot") }),
  }),
  refuses(
    "InventedOperator",
    "origin assertion under the forwarder's own name",
    "FOREIGN_OPERATOR",
    (() => {
      const token = reclaim(origin(), { iss: charlie.hubId }, charlie.signer);
      return { origin: token, hop: hop(charlie, bravo, { origin: token }) };
    })(),
    sender,
  ),
  refuses(
    "InventedOperator",
    "origin assertion and first hop signed by the forwarder in the home hub's name",
    "BAD_SIGNATURE",
    (() => {
      const token = origin({ txn: id("invented") }, charlie.signer);
      const first = hop(alpha, charlie, { origin: token }, charlie.signer);
      return { origin: token, via: [first], hop: hop(charlie, bravo, { origin: token, hop: 2, previousHop: first }) };
    })(),
    sender,
  ),
  refuses(
    "InventedOperator",
    "origin assertion signed by the forwarder, naming the home hub's key",
    "BAD_SIGNATURE",
    (() => {
      const [, payload] = partsOf(origin());
      const token = forge(JSON.stringify(headerOf(alpha.signer, originType)), JSON.stringify(payload), charlie.signer);
      const first = hop(alpha, charlie, { origin: token });
      return { origin: token, via: [first], hop: hop(charlie, bravo, { origin: token, hop: 2, previousHop: first }) };
    })(),
    sender,
  ),
  refuses(
    "BorrowedOrigin",
    "a real origin assertion used by a hub that was handed no call",
    "BROKEN_CHAIN",
    { origin: origin(), hop: hop(charlie, bravo) },
    sender,
  ),
  refuses(
    "BorrowedOrigin",
    "a real first hop that was made for another hub",
    "BROKEN_CHAIN",
    fromCharlie([hop(alpha, delta)]),
    sender,
  ),
  refuses(
    "SwappedOrigin",
    "a real origin assertion with more roles in place of the one signed for",
    "ORIGIN_MISMATCH",
    {
      ...direct,
      origin: moreRights,
    },
  ),
  refuses("WidenedScope", "first hop claims more than the origin", "SCOPE_WIDENED", {
    ...direct,
    hop: hop(alpha, bravo, { scope: ["apps:list", "apps:admin"] }),
  }),
  refuses(
    "WidenedScope",
    "second hop takes back what the first gave up",
    "SCOPE_WIDENED",
    fromCharlie([hop(alpha, charlie, { scope: ["apps:list"] })]),
    sender,
  ),
  refuses(
    "BrokenChain",
    "an earlier hop is left out",
    "BROKEN_CHAIN",
    { origin: relayed.origin, hop: relayed.hop },
    sender,
  ),
  refuses(
    "BrokenChain",
    "an earlier hop is put in its place",
    "BROKEN_CHAIN",
    { ...relayed, via: [toOtherJti()] },
    sender,
  ),
  refuses("BrokenChain", "two earlier hops change places", "BROKEN_CHAIN", swapped(), sender),
  refuses(
    "BrokenChain",
    "second hop counts itself as third",
    "BROKEN_CHAIN",
    fromCharlie([toCharlie], { hop: 3 }),
    sender,
  ),
  refuses("BrokenChain", "first hop names one before it", "BROKEN_CHAIN", withHop({ prev: id("x").padEnd(43, "A") })),
  refuses("BrokenChain", "second hop names none before it", "BROKEN_CHAIN", withHop({ hop: 2 })),
  refuses("TooManyHops", "five hop proofs", "TOO_MANY_HOPS", {
    ...direct,
    via: [direct.hop, direct.hop, direct.hop, direct.hop],
  }),
  refuses("TooManyHops", "hop 5", "TOO_MANY_HOPS", withHop({ hop: 5, prev: id("x").padEnd(43, "A") })),
  refuses("Expired", "hop proof", "ENVELOPE_EXPIRED", direct, { atMs: nowMs + 65_000 }),
  refuses("Expired", "origin assertion", "ENVELOPE_EXPIRED", withOrigin({ iat: sec(-300), exp: sec(-10) })),
  refuses(
    "Expired",
    "earlier hop proof",
    "ENVELOPE_EXPIRED",
    fromCharlie([hop(alpha, charlie, { nowMs: nowMs - 90_000 })]),
    sender,
  ),
  refuses("NotYetValid", "hop proof", "ENVELOPE_NOT_YET_VALID", direct, { atMs: nowMs - 5001 }),
  refuses("NotYetValid", "origin assertion", "ENVELOPE_NOT_YET_VALID", withOrigin({ iat: sec(10), exp: sec(100) })),
  refuses("Lifetime", "hop proof of 61 seconds", "ENVELOPE_LIFETIME", withHop({ exp: sec(61) })),
  refuses("Lifetime", "origin assertion of 301 seconds", "ENVELOPE_LIFETIME", withOrigin({ exp: sec(301) })),
  refuses("Lifetime", "hop proof that ends as it begins", "ENVELOPE_LIFETIME", withHop({ exp: sec(0) })),
  refuses("UnknownHub", "sender is no member", "UNKNOWN_HUB", direct, { strangers: [alpha.name] }),
  refuses("UnknownHub", "home hub is no longer a member", "UNKNOWN_HUB", relayed, {
    ...sender,
    strangers: [alpha.name],
  }),
  refuses("BadSignature", "hop proof signed by another member", "BAD_SIGNATURE", {
    ...direct,
    hop: hop(alpha, bravo, {}, charlie.signer),
  }),
  refuses("BadSignature", "hop proof signed by another member, naming the sender's key", "BAD_SIGNATURE", {
    ...direct,
    hop: forge(JSON.stringify(headerOf(alpha.signer, hopType)), JSON.stringify(partsOf(direct.hop)[1]), charlie.signer),
  }),
  refuses("BadSignature", "claims changed after signing", "BAD_SIGNATURE", {
    ...direct,
    hop: direct.hop.replace(/\.[^.]*\./, `.${partsOf64(withHop({ jti: id("changed") }).hop)}.`),
  }),
  refuses("AlgorithmConfusion", "alg none without a signature", "JWS_UNSUPPORTED", unsigned()),
  refuses("AlgorithmConfusion", "alg none with a signature", "JWS_UNSUPPORTED", withHeader({ alg: "none" })),
  refuses("AlgorithmConfusion", "alg HS256", "JWS_UNSUPPORTED", withHeader({ alg: "HS256" })),
  refuses(
    "AlgorithmConfusion",
    "alg EdDSA, the name that leaves the curve open",
    "JWS_UNSUPPORTED",
    withHeader({ alg: "EdDSA" }),
  ),
  refuses("TypeConfusion", "origin assertion in the place of the hop proof", "JWS_WRONG_TYPE", {
    ...direct,
    hop: direct.origin,
  }),
  refuses("TypeConfusion", "hop proof in the place of the origin assertion", "JWS_WRONG_TYPE", {
    ...direct,
    origin: direct.hop,
  }),
  refuses("TypeConfusion", "typ JWT", "JWS_WRONG_TYPE", withHeader({ typ: "JWT" })),
  refuses(
    "Header",
    "an extension that must be understood",
    "JWS_UNSUPPORTED",
    withHeader({ crit: ["b64"], b64: true }),
  ),
  refuses("Header", "a key brought along", "JWS_MALFORMED", withHeader({ jwk: { kty: "OKP" } })),
  refuses("Header", "no kid", "JWS_MALFORMED", withHeader({ kid: undefined })),
  refuses(
    "DuplicateKey",
    "exp twice",
    "JWS_MALFORMED",
    withHopText(same, (good) => good.replace("{", '{"exp":1,')),
  ),
  refuses(
    "DuplicateKey",
    "exp twice, once escaped",
    "JWS_MALFORMED",
    withHopText(same, (good) => good.replace("{", '{"\\u0065xp":1,')),
  ),
  refuses(
    "DuplicateKey",
    "alg twice in the header",
    "JWS_MALFORMED",
    withHopText((good) => good.replace("{", '{"alg":"none",')),
  ),
  refuses("Base64url", "unused bits of the signature set", "JWS_MALFORMED", {
    ...direct,
    hop: nextSpelling(direct.hop),
  }),
  refuses("Base64url", "padding", "JWS_MALFORMED", { ...direct, hop: `${direct.hop}==` }),
  refuses("Base64url", "trailing newline", "JWS_MALFORMED", { ...direct, hop: `${direct.hop}\n` }),
  refuses("Base64url", "standard alphabet", "JWS_MALFORMED", { ...direct, hop: `${direct.hop.slice(0, -1)}+` }),
  refuses("Structure", "two parts", "JWS_MALFORMED", { ...direct, hop: direct.hop.split(".").slice(0, 2).join(".") }),
  refuses("Structure", "four parts", "JWS_MALFORMED", { ...direct, hop: `${direct.hop}.AA` }),
  refuses(
    "Structure",
    "payload is not an object",
    "JWS_MALFORMED",
    withHopText(same, () => "[]"),
  ),
  refuses(
    "Structure",
    "payload is not JSON",
    "JWS_MALFORMED",
    withHopText(same, (good) => good.slice(1)),
  ),
  refuses("Structure", "empty token", "JWS_MALFORMED", { ...direct, hop: "" }),
  refuses("TooLarge", "more than 8192 characters", "ENVELOPE_TOO_LARGE", { ...direct, hop: "A".repeat(8192) }),
  ...["iss", "aud", "jti", "iat", "exp", "tth", "cdg", "cnf", "epoch", "hop", "scope"].map((claim) =>
    refuses("MissingClaim", `hop proof without ${claim}`, "ENVELOPE_MALFORMED", withHop({ [claim]: undefined })),
  ),
  ...["iss", "sub", "aud", "txn", "iat", "exp", "scope", "roles"].map((claim) =>
    refuses(
      "MissingClaim",
      `origin assertion without ${claim}`,
      "ENVELOPE_MALFORMED",
      withOrigin({ [claim]: undefined }),
    ),
  ),
  refuses("UnknownClaim", "hop proof", "ENVELOPE_MALFORMED", withHop({ act: {} })),
  refuses("UnknownClaim", "origin assertion", "ENVELOPE_MALFORMED", withOrigin({ admin: true })),
  refuses("ClaimType", "exp as text", "ENVELOPE_MALFORMED", withHop({ exp: String(sec(60)) })),
  refuses("ClaimType", "exp with a fraction", "ENVELOPE_MALFORMED", withHop({ exp: sec(60) - 0.5 })),
  refuses("ClaimType", "several audiences", "ENVELOPE_MALFORMED", withHop({ aud: [bravo.hubId] })),
  refuses("ClaimType", "scope as a list", "ENVELOPE_MALFORMED", withHop({ scope: ["apps:list"] })),
  refuses("ClaimType", "scope with an empty entry", "ENVELOPE_MALFORMED", withHop({ scope: "apps:list  apps:call" })),
  refuses(
    "ClaimType",
    "33 roles",
    "ENVELOPE_MALFORMED",
    withOrigin({ roles: Array.from({ length: 33 }, (_, i) => `r${i}`) }),
  ),
  refuses("ClaimType", "hop 0", "ENVELOPE_MALFORMED", withHop({ hop: 0 })),
  refuses("ClaimType", "short jti", "ENVELOPE_MALFORMED", withHop({ jti: "AAAA" })),
  refuses("ClaimType", "hub id with unused bits set", "ENVELOPE_MALFORMED", withHop({ iss: `${"a".repeat(25)}b` })),
  refuses("ClaimType", "operator without a hub", "PRINCIPAL_MALFORMED", withOrigin({ sub: "alice" })),
  refuses("ClaimType", "operator in capitals", "PRINCIPAL_MALFORMED", withOrigin({ sub: alice.replace("a", "A") })),
];

/** The whole vector file. */
export function envelopeVectors(): EnvelopeVectors {
  const { self, epoch, audience, atMs } = contextOf();
  return {
    notes: {
      use: "Present each case's envelopes in order to a receiver with an empty replay guard; all but the last are accepted. The last is accepted as `accepted` says, or refused with `code`.",
      context:
        "A case's context overrides the shared one. `peer` names the hub at the other end of the connection. Every hub listed is a member, except a case's `strangers`.",
      encodings:
        "Secret keys are 32-byte Ed25519 seeds and public keys 32 bytes, base64url. A thumbprint is the SHA-256 of the hub's leaf. Times are milliseconds.",
    },
    hubs: Object.fromEntries(
      hubs.map(({ name, hubId, secretKey, signer, thumbprint }) => [
        name,
        {
          hubId,
          secretKey: encodeBase64Url(secretKey),
          publicKey: encodeBase64Url(signer.publicKey),
          thumbprint,
        },
      ]),
    ),
    context: { self, epoch, audience, peer: alpha.name, body, atMs },
    cases: [...valid, ...invalid],
  };
}

function withBare(): Envelope {
  const token = origin({ scope: [], roles: [] });
  return { origin: token, hop: hop(alpha, bravo, { origin: token, scope: [] }) };
}

function sec(offset: number): number {
  return nowMs / 1000 + offset;
}

function toOtherJti(): string {
  return hop(alpha, charlie, { jti: id("not the one that was forwarded") });
}

function swapped(): Envelope {
  const { via, ...rest } = envelopeAlong([alpha, delta, charlie, bravo]);
  return { ...rest, via: [...via!].reverse() };
}

function unsigned(): Envelope {
  const header = { ...headerOf(alpha.signer, hopType), alg: "none" };
  const [, payload] = partsOf(direct.hop);
  const text = [header, payload].map((part) => encodeBase64Url(encodeUtf8(JSON.stringify(part)))).join(".");
  return { ...direct, hop: `${text}.` };
}

function partsOf64(token: string): string {
  return token.split(".")[1]!;
}

/** The same signature bytes, spelled with another last character. */
function nextSpelling(token: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1)!) + 1]!;
}
