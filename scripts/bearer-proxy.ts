/** A forwarder on loopback that adds `Authorization: Bearer`, for programs that cannot send the header themselves. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** See the module header. */
export interface BearerProxy {
  /** Stands for the target. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Forwards to the http `target` whatever comes, as it comes: statuses, headers and streams are not touched. Where Host and Origin
 * name the proxy they name the target behind it; where they name somebody else they stay, since the target must judge them.
 */
export async function startBearerProxy(target: string, token: string): Promise<BearerProxy> {
  const { origin, host, hostname, port, pathname } = new URL(target);

  function forward(incoming: IncomingMessage, response: ServerResponse): void {
    const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
    if (headers.host === own.host) headers.host = host;
    if (headers.origin === own.origin) headers.origin = origin;
    const outgoing = request({ hostname, port, method: incoming.method, path: incoming.url, headers });
    outgoing.on("response", (answer) => {
      response.writeHead(answer.statusCode!, answer.statusMessage, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
      answer.on("close", () => answer.complete || response.destroy());
    });
    outgoing.on("error", () => response.destroy());
    // A client that goes away cancels its call, so the target must see it go.
    response.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  const server = createServer(forward);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const own = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`);
  return {
    url: own.href,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
