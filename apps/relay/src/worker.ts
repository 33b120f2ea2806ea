/**
 * The relay on Cloudflare. The Worker keeps nothing: it checks the capability token that a WebSocket upgrade offers and hands
 * who may enter to the Durable Object of the token's cluster. A stranger never wakes one.
 */
import { isFedError } from "@fed/core";
import { refusalOf, relaySubprotocol, verifyUpgrade } from "@fed/transport-relay/core";
import { admissionKeysOf, subprotocolsOf, tokenCheckOf, type WorkerSettings } from "./worker-settings.js";
import { createWebSocketPair, upgradeResponse } from "./workers-runtime.js";

export { DurableRelay } from "./durable-relay.js";

export default {
  async fetch(request: Request, settings: WorkerSettings): Promise<Response> {
    const offered = subprotocolsOf(request);
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return answerHttp(request, settings);
    if (request.method !== "GET" || !offered.includes(relaySubprotocol)) return text(400, "not a relay client");
    try {
      const { tag } = verifyUpgrade(offered, tokenCheckOf(settings, request));
      return await settings.CLUSTERS.get(settings.CLUSTERS.idFromName(tag)).fetch(request);
    } catch (error) {
      if (!isFedError(error)) throw error;
      return refuse(error);
    }
  },
};

/** A client learns the cause only from a close: it cannot read the answer to a failed upgrade. */
function refuse(error: unknown): Response {
  const { client, server } = createWebSocketPair();
  const { code, reason } = refusalOf(error);
  server.accept();
  server.close(code, reason);
  return upgradeResponse(client, relaySubprotocol);
}

function answerHttp(request: Request, settings: WorkerSettings): Response {
  if (request.method !== "GET" || new URL(request.url).pathname !== "/healthz") return text(404, "not found");
  try {
    return admissionKeysOf(settings).length > 0 ? text(200, "ok") : text(503, "no admission keys (ADMIT)");
  } catch {
    return text(503, "a malformed admission key (ADMIT)");
  }
}

function text(status: number, line: string): Response {
  return new Response(`${line}\n`, { status, headers: { "content-type": "text/plain" } });
}
