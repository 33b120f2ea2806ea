/** An agent that sends and reads messages as they are: for what no SDK would send, or would hide. */

/** A message as it came. */
export interface RawMessage {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
}

/** What came back for one request. */
export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  /** What was said before the last message. */
  readonly before: RawMessage[];
  readonly last: RawMessage;
}

/** Where an agent asks, and as whom. */
export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

const revision = "2026-07-28";
const named: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "resources/read": "uri",
  "prompts/get": "name",
};
let lastId = 0;

/** Every message of the answer to a POST, as it comes. */
export async function* messagesOf(response: Response): AsyncGenerator<RawMessage> {
  if (!response.headers.get("content-type")?.includes("text/event-stream")) {
    const text = await response.text();
    if (text !== "") yield JSON.parse(text) as RawMessage;
    return;
  }
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split("\n\n");
    text = events.pop()!;
    for (const event of events) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1];
      if (data) yield JSON.parse(data) as RawMessage;
    }
  }
}

/** Sends one message. */
export function post(
  { url, token }: Endpoint,
  message: object,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    ...(signal && { signal }),
  });
}

async function exchange(response: Response): Promise<Exchange> {
  const before: RawMessage[] = [];
  for await (const message of messagesOf(response)) before.push(message);
  const last = before.pop() ?? {};
  return { status: response.status, headers: response.headers, before, last };
}

/** One request of revision 2026-07-28; `_meta` is added to what the revision wants. */
export async function modern(
  endpoint: Endpoint,
  method: string,
  params: Record<string, unknown> = {},
  options: { readonly capabilities?: object; readonly headers?: Record<string, string> } = {},
): Promise<Exchange> {
  const { capabilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} }, headers } = options;
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": revision,
    "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": capabilities,
    ...(params._meta as object | undefined),
  };
  const name = params[named[method] ?? ""];
  const response = await post(
    endpoint,
    { id: ++lastId, method, params: { ...params, _meta } },
    {
      "mcp-protocol-version": revision,
      "mcp-method": method,
      ...(typeof name === "string" && { "mcp-name": name }),
      ...headers,
    },
  );
  return exchange(response);
}

/** A session of revision 2025-11-25. */
export class LegacyAgent {
  readonly #endpoint: Endpoint;
  readonly #session: Record<string, string>;

  /** The id under which the hub finds the session. */
  get sessionId(): string {
    return this.#session["mcp-session-id"]!;
  }

  private constructor(endpoint: Endpoint, session: Record<string, string>) {
    this.#endpoint = endpoint;
    this.#session = session;
  }

  static async open(
    endpoint: Endpoint,
    capabilities: object = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
  ): Promise<LegacyAgent> {
    const params = { protocolVersion: "2025-11-25", capabilities, clientInfo: { name: "raw", version: "1" } };
    const { headers, last } = await exchange(await post(endpoint, { id: 0, method: "initialize", params }));
    if (!last.result) throw new Error(`initialize: ${JSON.stringify(last)}`);
    const agent = new LegacyAgent(endpoint, {
      "mcp-session-id": headers.get("mcp-session-id")!,
      "mcp-protocol-version": "2025-11-25",
    });
    await agent.send({ method: "notifications/initialized" });
    return agent;
  }

  /** The same session at another address: its hub was restarted. */
  at(url: string): LegacyAgent {
    return new LegacyAgent({ ...this.#endpoint, url }, this.#session);
  }

  /** Sends one message and returns the response as it is. */
  send(message: object, signal?: AbortSignal): Promise<Response> {
    return post(this.#endpoint, message, this.#session, signal);
  }

  /** One request; `answer` is told what the hub asks meanwhile and says what to POST for it. */
  async request(
    method: string,
    params: Record<string, unknown> = {},
    answer?: (question: RawMessage) => object | undefined,
  ): Promise<Exchange> {
    const response = await this.send({ id: ++lastId, method, params });
    const before: RawMessage[] = [];
    let last: RawMessage = {};
    for await (const message of messagesOf(response)) {
      if (message.method === undefined) {
        last = message;
        continue;
      }
      before.push(message);
      if (message.id === undefined) continue;
      const said = answer?.(message);
      if (said) await this.send({ id: message.id, ...said });
    }
    return { status: response.status, headers: response.headers, before, last };
  }

  /** The stream of what is told by itself. */
  listen(signal: AbortSignal): Promise<Response> {
    const { url, token } = this.#endpoint;
    const headers = { authorization: `Bearer ${token}`, accept: "text/event-stream", ...this.#session };
    return fetch(url, { headers, signal });
  }
}
