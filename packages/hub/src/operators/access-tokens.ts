/**
 * Access tokens of an authorization server elsewhere (RFC 9068 in kind: JWTs, verified by its published keys). Off unless
 * configured. The server says who somebody is and how much of the hub is theirs; it can speak for no operator that this
 * hub names itself.
 */
import { type Clock, encodeBase32, encodeUtf8, type HubId, isFedError, isRoleName } from "@fed/core";
import { formatPrincipal, sha256 } from "@fed/trust";
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { HubError } from "../errors.js";
import { contains, type Operator, type Scope, scopes } from "./operator.js";
import { unauthenticated } from "./tokens.js";

/** The authorization server whose access tokens a hub accepts. */
export interface OauthOptions {
  /** As in the tokens' `iss`; https, or http on this machine. */
  readonly issuer: string;
  /** Where its keys are; default what its metadata says (RFC 8414, OpenID Connect Discovery). */
  readonly jwksUri?: string;
  /** The hub's own address as its clients know it, e.g. `https://hub.example`: their tokens name it, or a path of it, in `aud`. */
  readonly audience: string;
}

/** See the module header. */
export interface AccessTokens {
  readonly issuer: string;
  /** Without a slash at the end. */
  readonly audience: string;
  /**
   * Who bears `token` for the resource at `path` of this hub.
   * @throws {HubError} UNAUTHENTICATED, SCOPE_MISSING; OAUTH_UNAVAILABLE when the server's keys cannot be had.
   */
  verify(token: string, path: string): Promise<Operator>;
}

/** Asymmetric ones only: this hub shares no secret with the server. */
const algorithms = [
  "EdDSA",
  "Ed25519",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512",
];
const clockToleranceSeconds = 30;
const fetchTimeoutMs = 5000;
const maxMetadataBytes = 64 * 1024;
/** How long nobody asks a server that did not answer: tokens of strangers must not become requests to it. */
const pauseMs = 5000;

/** @throws {HubError} OAUTH_CONFIG_INVALID. */
export function createAccessTokens(
  options: OauthOptions,
  { hubId, clock }: { hubId: HubId; clock: Clock },
): AccessTokens {
  const { issuer } = options;
  checkUrl("issuer", issuer);
  if (options.jwksUri !== undefined) checkUrl("jwksUri", options.jwksUri);
  const audience = checkUrl("audience", options.audience);
  if (audience.pathname !== "/" || audience.search || audience.hash) {
    throw misconfigured("audience is more than an origin, such as https://hub.example.");
  }
  let keys: Promise<JWTVerifyGetKey> | undefined;
  let pausedUntilMs = Number.NEGATIVE_INFINITY;

  const keyOf: JWTVerifyGetKey = async (header, token) => {
    if (clock.monotonicMs() < pausedUntilMs) throw unavailable(issuer);
    try {
      keys ??= findKeys(issuer, options.jwksUri);
      return await (await keys)(header, token);
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause;
      keys = undefined;
      pausedUntilMs = clock.monotonicMs() + pauseMs;
      throw unavailable(issuer, cause);
    }
  };

  return {
    issuer,
    audience: audience.origin,
    async verify(token, path) {
      let payload: JWTPayload;
      try {
        ({ payload } = await jwtVerify(token, keyOf, {
          algorithms,
          issuer,
          audience: [audience.origin, `${audience.origin}/`, `${audience.origin}${path}`],
          requiredClaims: ["exp", "sub"],
          clockTolerance: clockToleranceSeconds,
          currentDate: new Date(clock.nowMs()),
        }));
      } catch (cause) {
        if (isFedError(cause)) throw cause;
        throw unauthenticated(`The access token of ${issuer} is not good for this hub (${reasonOf(cause)}).`, cause);
      }
      return {
        principal: formatPrincipal({ name: nameOf(payload.sub), hubId }),
        roles: [],
        scope: scopeOf(payload),
        expiresAtMs: (payload.exp! + clockToleranceSeconds) * 1000,
      };
    },
  };
}

/** Names that begin with `oauth` and are never two subjects': a subject that is no name is hashed. */
function nameOf(subject: unknown): string {
  if (typeof subject !== "string" || subject === "") throw unauthenticated("The access token names no subject.");
  const name = `oauth.${subject}`;
  return isRoleName(name) ? name : `oauth-${encodeBase32(sha256(encodeUtf8(subject)))}`;
}

/** The widest of the hub's scopes in `scope` (RFC 9068) or `scp`. */
function scopeOf({ scope, scp }: JWTPayload): Scope {
  const said = [scope, scp].flat().flatMap((words) => (typeof words === "string" ? words.split(" ") : []));
  const widest = scopes.findLast((each) => said.includes(each));
  if (widest !== undefined && contains(widest, "ReadOnly")) return widest;
  throw new HubError({
    code: "SCOPE_MISSING",
    message: "The access token has none of the hub's scopes.",
    hint: `Ask the authorization server for one of ${scopes.join(", ")}.`,
    details: { scope: "ReadOnly" },
  });
}

async function findKeys(issuer: string, jwksUri: string | undefined): Promise<JWTVerifyGetKey> {
  const url = new URL(jwksUri ?? (await discover(issuer)));
  return createRemoteJWKSet(url, { timeoutDuration: fetchTimeoutMs });
}

/** The `jwks_uri` of the issuer's metadata. */
async function discover(issuer: string): Promise<string> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
  for (const place of new Set(places)) {
    const response = await fetch(place, { redirect: "error", signal: AbortSignal.timeout(fetchTimeoutMs) });
    if (!response.ok) {
      await response.body?.cancel();
      continue;
    }
    const metadata = JSON.parse(await textOf(response)) as { issuer?: unknown; jwks_uri?: unknown };
    if (metadata.issuer !== issuer || typeof metadata.jwks_uri !== "string") break;
    checkUrl("jwks_uri", metadata.jwks_uri);
    return metadata.jwks_uri;
  }
  throw unavailable(issuer);
}

async function textOf(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxMetadataBytes) throw misconfigured("the issuer's metadata has more than 64 KiB.");
  }
  return text;
}

/** Keys that came over a line that others can write on would let them in. */
function checkUrl(what: string, text: string): URL {
  const url = URL.parse(text);
  const isLocal = url?.protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url && (url.protocol === "https:" || isLocal)) return url;
  throw misconfigured(`${what} is not an https address.`);
}

function reasonOf(cause: unknown): string {
  return cause instanceof errors.JOSEError ? cause.code : "malformed";
}

function misconfigured(message: string): HubError {
  return new HubError({
    code: "OAUTH_CONFIG_INVALID",
    message: `The authorization server cannot be used: ${message}`,
    hint: "`oauth` is { issuer, jwksUri?, audience }.",
  });
}

function unavailable(issuer: string, cause?: unknown): HubError {
  return new HubError({
    code: "OAUTH_UNAVAILABLE",
    message: `The keys of ${issuer} cannot be had now, so its access tokens cannot be judged.`,
    hint: "Is it up, and is `jwksUri` its own? Tokens of this hub are good meanwhile.",
    retryable: true,
    cause,
  });
}
