/**
 * How the hub reaches an app over HTTP: with the headers and credentials of its own configuration, never with anything an
 * agent showed to the hub, and with a bound on what is read.
 */
import type { FedError } from "@fed/core";
import type { AuthProvider, FetchLike } from "@modelcontextprotocol/client";
import { Agent, fetch } from "undici";
import { HubError } from "../errors.js";
import type { HttpAppConfig } from "./app-config.js";
import { clientCredentials } from "./client-credentials.js";
import { boundBody } from "./http-body.js";

const farewellMs = 1_000;
const connectMs = 10_000;

/** What a transport needs to reach one app. */
export interface HttpAccess {
  readonly url: URL;
  readonly authProvider: AuthProvider | undefined;
  /** A fetch whose body ends in an error above the bound; `onTooLarge` is told first. */
  fetchFor(onTooLarge?: (error: FedError) => void): FetchLike;
  /** Ends every connection to the app. */
  close(): Promise<void>;
}

/** See the module header. */
export function httpAccess(app: string, config: HttpAppConfig): HttpAccess {
  const url = new URL(config.url);
  // Node's own fetch gives up on whoever says nothing for 5 minutes: calls have a deadline, and subscriptions none.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, connectTimeout: connectMs });
  const own = new Headers({ ...config.headers });
  const { auth: credentials } = config;
  if (credentials && "bearer" in credentials) own.set("authorization", `Bearer ${credentials.bearer}`);
  return {
    url,
    authProvider:
      credentials && "clientCredentials" in credentials
        ? clientCredentials({ app, url, credentials: credentials.clientCredentials, dispatcher })
        : undefined,
    fetchFor: (onTooLarge) => async (target, init) => {
      const headers = new Headers(init?.headers);
      // Whatever a library may ask elsewhere with this fetch, it is none of the app.
      if (new URL(target).origin === url.origin) for (const [name, value] of own) headers.set(name, value);
      let response: Response;
      try {
        const signal = init?.method === "DELETE" ? farewell() : init?.signal;
        response = (await fetch(target, { ...(init as object), headers: [...headers], signal, dispatcher })) as never;
      } catch (cause) {
        throw neverSent(app, cause) ?? cause;
      }
      return boundBody(response, app, onTooLarge);
    },
    close: () => dispatcher.destroy(),
  };
}

/** The end of a session is told to the app, and not waited for if it does not care. */
function farewell(): AbortSignal {
  return AbortSignal.timeout(farewellMs);
}

const unreachable = new Set([
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** The error for a request that reached nobody; undefined when it may have. */
function neverSent(app: string, cause: unknown): HubError | undefined {
  const { code = "" } = ((cause as Error).cause ?? {}) as { code?: string };
  const untrusted = /CERT|SELF_SIGNED|ERR_TLS|ERR_SSL/.test(code);
  if (!unreachable.has(code) && !untrusted) return undefined;
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `App ${app} cannot be reached over HTTP (${code}).`,
    hint: untrusted ? "Its certificate is not trusted here." : "Is it up, and is its url right?",
    retryable: true,
    cause,
  });
}
