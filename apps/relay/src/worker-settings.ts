/** What the operator of a Cloudflare relay sets: the variables of wrangler.jsonc. */
import { parseAdmissionKey, type RelayLimits, type TokenCheck } from "@fed/transport-relay/core";
import type { DurableObjectNamespace } from "./workers-runtime.js";

/** The variables and bindings of wrangler.jsonc. */
export interface WorkerSettings {
  /** One Durable Object per cluster. */
  readonly CLUSTERS: DurableObjectNamespace;
  /** `fedrelay1.` keys of the clusters to serve, with spaces between; public. None: nobody is admitted. */
  readonly ADMIT?: string;
  readonly LIMITS?: Partial<RelayLimits>;
}

/** The admission keys. @throws {RelayError} KEY_INVALID. */
export function admissionKeysOf(settings: WorkerSettings): Uint8Array[] {
  return (settings.ADMIT ?? "").split(/\s+/).filter(Boolean).map(parseAdmissionKey);
}

/** The relay's origin as the request names it: Cloudflare hands a Worker only requests for host names that are its own. */
export function originOf(request: Request): string {
  const { protocol, host } = new URL(request.url);
  return `${protocol === "http:" ? "ws" : "wss"}://${host}`;
}

/** What a token that `request` brings is checked against. */
export function tokenCheckOf(settings: WorkerSettings, request: Request): TokenCheck {
  return { admissionKeys: admissionKeysOf(settings), origins: [originOf(request)], atMs: Date.now() };
}

/** The subprotocols that `request` offers. */
export function subprotocolsOf(request: Request): string[] {
  const header = request.headers.get("sec-websocket-protocol") ?? "";
  return header.split(",").map((one) => one.trim());
}
