/** An MCP server over HTTP that does as a test says, and an authorization server that gives tokens for it. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** Answers a request in the server's stead; true when it did. */
export type Behaviour = (
  request: IncomingMessage,
  response: ServerResponse,
  message: RpcMessage,
) => boolean | undefined;

export interface RpcMessage {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly protocolVersion?: string };
}

/** A server that listens on loopback. */
export interface WebApp extends AsyncDisposable {
  readonly url: string;
  /** Of each request, in order. */
  readonly heard: { readonly method: string | undefined; readonly headers: IncomingHttpHeaders }[];
  behaviour: Behaviour | undefined;
  /** The session that it knows; "" after {@link forget}. */
  forget(): void;
  close(): Promise<void>;
}

/** Starts the server, on `port` where one is given. */
export async function startWebApp(port = 0): Promise<WebApp> {
  const heard: WebApp["heard"] = [];
  let sessions = 0;
  let session = "";
  const server = createServer(async (request, response) => {
    const message = request.method === "POST" ? (JSON.parse(await textOf(request)) as RpcMessage) : {};
    heard.push({ method: message.method ?? request.method, headers: request.headers });
    if (app.behaviour?.(request, response, message)) return;
    if (request.method !== "POST") return void response.writeHead(405).end();
    const { id, method, params } = message;
    if (method === "initialize") {
      session = `session-${++sessions}`;
      const serverInfo = { name: "web", version: "1.0.0" };
      const result = { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo };
      return sendJson(response, { jsonrpc: "2.0", id, result }, { "mcp-session-id": session });
    }
    if (method !== "server/discover" && request.headers["mcp-session-id"] !== session) {
      return void response.writeHead(404).end("no such session");
    }
    if (id === undefined) return void response.writeHead(202).end();
    if (method === "tools/list")
      return sendJson(response, { jsonrpc: "2.0", id, result: { tools: [{ name: "say" }] } });
    if (method === "tools/call") {
      return sendJson(response, { jsonrpc: "2.0", id, result: { content: [{ type: "text", text: `in ${session}` }] } });
    }
    sendJson(response, { jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } });
  });
  const url = `${await listen(server, port)}/mcp`;
  const app: WebApp = {
    url,
    heard,
    behaviour: undefined,
    forget() {
      session = "";
    },
    close: () => closeServer(server),
    [Symbol.asyncDispose]: () => closeServer(server),
  };
  return app;
}

/** An authorization server with one client, `hub-1` and `cl1ent-s3cret`, and what it was asked. */
export async function startAuthorizationServer() {
  const requests: {
    readonly authorization: string | undefined;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }[] = [];
  let issued = 0;
  let valid = "";
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    if (request.url?.startsWith("/.well-known/oauth-authorization-server")) {
      return sendJson(response, {
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        response_types_supported: ["code"],
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: ["client_secret_basic"],
      });
    }
    if (request.url !== "/token") return void response.writeHead(404).end();
    requests.push({ authorization: request.headers.authorization, headers: request.headers, body });
    const wanted = `Basic ${Buffer.from("hub-1:cl1ent-s3cret").toString("base64")}`;
    if (request.headers.authorization !== wanted) {
      return sendJson(response, { error: "invalid_client" }, {}, 401);
    }
    valid = `token-${++issued}`;
    sendJson(response, { access_token: valid, token_type: "Bearer", expires_in: 3600 });
  });
  const url = await listen(server, 0);
  return {
    url,
    requests,
    /** Asks for a token as an app of this server does; the server's word for a request without one. */
    guard(app: () => string): Behaviour {
      return (request, response) => {
        if (request.url?.startsWith("/.well-known/oauth-protected-resource")) {
          sendJson(response, { resource: app(), authorization_servers: [url] });
          return true;
        }
        if (request.headers.authorization === `Bearer ${valid}` && valid !== "") return false;
        const metadata = new URL("/.well-known/oauth-protected-resource/mcp", app()).href;
        response.writeHead(401, { "www-authenticate": `Bearer resource_metadata="${metadata}", scope="mcp"` }).end();
        return true;
      };
    },
    expire() {
      valid = "";
    },
    [Symbol.asyncDispose]: () => closeServer(server),
  };
}

export function sendJson(
  response: ServerResponse,
  value: object,
  headers: Record<string, string> = {},
  status = 200,
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}
