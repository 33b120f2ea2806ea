/**
 * Access tokens for an app over HTTP by OAuth 2.1 client credentials. What the app says (RFC 9728) leads the hub nowhere but to
 * the app itself and to the issuer of its configuration: nobody who runs an app, or has broken into one, can make the hub
 * send requests inside the network it is in.
 *
 * - `resource_metadata` of a 401 must be of the app's own origin.
 * - The authorization server is the configured `issuer`; metadata that names others only is refused.
 * - The issuer's metadata (RFC 8414) may name a token endpoint elsewhere: by https, and with a public address unless the
 *   issuer itself has none.
 * - Of scopes it gets the configured `scope`; only without one does the app say which it needs.
 * - No redirect is followed; each answer has 10 s and 64 KiB.
 */
import { isFedError } from "@fed/core";
import {
  type AuthProvider,
  auth,
  ClientCredentialsProvider,
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
  type FetchLike,
  type OAuthDiscoveryState,
  type OAuthProtectedResourceMetadata,
} from "@modelcontextprotocol/client";
import { Agent, type Dispatcher, fetch } from "undici";
import { HubError } from "../errors.js";
import type { ClientCredentials } from "./app-config.js";
import { isPublicHost, lookupPublic, notPublic } from "./public-address.js";

const answerMs = 10_000;
const maxDocumentBytes = 64 * 1024;

/** What {@link clientCredentials} is handed. */
export interface ClientCredentialsOptions {
  readonly app: string;
  readonly url: URL;
  readonly credentials: ClientCredentials;
  /** For what is not the app's. */
  readonly dispatcher: Dispatcher;
}

/** Gets a token when the app asks for one; calls that hear so at the same time wait for the same one. */
export function clientCredentials({ app, url, credentials, dispatcher }: ClientCredentialsOptions): AuthProvider {
  const { issuer, ...client } = credentials;
  const provider = new IssuerProvider({ ...client, expectedIssuer: issuer });
  let asking: Promise<void> | undefined;

  async function ask(response: Response, fetchApp: FetchLike): Promise<void> {
    const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(response);
    if (resourceMetadataUrl && resourceMetadataUrl.origin !== url.origin) {
      throw refused(`its metadata would be at ${resourceMetadataUrl.origin}, which is not the app's own origin.`);
    }
    const fetchFn = createAuthorizationFetch({ url, issuer: new URL(issuer), fetchApp, dispatcher });
    const metadata = await resourceMetadata(url, resourceMetadataUrl, fetchFn);
    const servers = metadata?.authorization_servers;
    if (servers && !servers.some((server) => sameIssuer(server, issuer))) {
      throw refused(`it takes tokens of ${String(servers[0]).slice(0, 200)} only.`);
    }
    provider.found = { authorizationServerUrl: issuer, ...(metadata && { resourceMetadata: metadata }) };
    await auth(provider, { serverUrl: url, resourceMetadataUrl, scope: credentials.scope ?? scope, fetchFn });
  }

  return {
    token: async () => provider.tokens()?.access_token,
    onUnauthorized({ response, fetchFn }) {
      asking ??= ask(response, fetchFn)
        .catch((cause: unknown) => {
          throw noToken(app, issuer, cause);
        })
        .finally(() => {
          asking = undefined;
        });
      return asking;
    },
  };
}

/** Knows its authorization server, and looks for no other. */
class IssuerProvider extends ClientCredentialsProvider {
  found: OAuthDiscoveryState | undefined;

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.found;
  }

  saveDiscoveryState(): void {}
}

/** What the app says of itself; undefined of one that says nothing, which is its right. */
async function resourceMetadata(
  url: URL,
  resourceMetadataUrl: URL | undefined,
  fetchFn: FetchLike,
): Promise<OAuthProtectedResourceMetadata | undefined> {
  let answered = false;
  const watched: FetchLike = async (target, init) => {
    const response = await fetchFn(target, init);
    answered = response.ok;
    return response;
  };
  try {
    return await discoverOAuthProtectedResourceMetadata(url, { resourceMetadataUrl }, watched);
  } catch (cause) {
    // A TypeError is how a fetch fails: the app cannot be reached, or sends the hub elsewhere.
    if (isFedError(cause) || cause instanceof TypeError || answered) throw cause;
    return undefined;
  }
}

/** The fetch for everything that is needed to get a token. @throws {HubError} APP_UNAVAILABLE for an address it may not reach. */
export function createAuthorizationFetch({
  url,
  issuer,
  fetchApp,
  dispatcher,
}: {
  /** The app's. */
  readonly url: URL;
  readonly issuer: URL;
  /** Reaches the app with the headers that are for it alone. */
  readonly fetchApp: FetchLike;
  readonly dispatcher: Dispatcher;
}): FetchLike {
  return async (target, init) => {
    const { origin, protocol, hostname } = new URL(target);
    const bounded = { ...init, redirect: "error" as const, signal: AbortSignal.timeout(answerMs) };
    if (origin === url.origin) return document(await fetchApp(target, bounded));
    if (origin === issuer.origin) return document(await fetchBy(dispatcher, target, bounded));
    if (protocol !== "https:") throw refused(`${origin} is asked without https.`);
    if (!(await isPublicHost(issuer.hostname))) return document(await fetchBy(dispatcher, target, bounded));
    if (!(await isPublicHost(hostname))) throw notPublic(hostname);
    const outside = new Agent({ connect: { lookup: lookupPublic } });
    try {
      return await document(await fetchBy(outside, target, bounded));
    } finally {
      await outside.close();
    }
  };
}

async function fetchBy(dispatcher: Dispatcher, target: string | URL, init: RequestInit): Promise<Response> {
  const headers = [...new Headers(init.headers)];
  return (await fetch(target, { ...(init as object), headers, dispatcher })) as unknown as Response;
}

/** `response`, read to its end. @throws {HubError} APP_UNAVAILABLE above 64 KiB. */
async function document({ body, status, statusText, headers }: Response): Promise<Response> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > maxDocumentBytes) throw refused(`an answer has more than ${maxDocumentBytes} bytes.`);
    chunks.push(chunk);
  }
  return new Response(bytes === 0 ? null : Buffer.concat(chunks), { status, statusText, headers });
}

/** An issuer with and without a slash at its end is the same. */
function sameIssuer(one: string, other: string): boolean {
  return one.replace(/\/$/, "") === other.replace(/\/$/, "");
}

function refused(why: string): HubError {
  return new HubError({ code: "APP_UNAVAILABLE", message: why });
}

function noToken(app: string, issuer: string, cause: unknown): HubError {
  const said = isFedError(cause)
    ? cause.message
    : String((cause as Error).message)
        .split("\n", 1)[0]!
        .slice(0, 200);
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `${issuer} gave no access token for app ${app}: ${said}`,
    hint: "Check auth.clientCredentials of the app, and whether the authorization server is up.",
    retryable: true,
    cause,
  });
}
