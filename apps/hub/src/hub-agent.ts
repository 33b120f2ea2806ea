/** The CLI as an agent of its own hub: the same surface that every other agent uses. */
import type { RunFile } from "@fed/hub";
import {
  type CallToolResult,
  Client,
  ProtocolError,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { hubGone } from "./hub-client.js";
import { version } from "./version.js";

/** Only so that the SDK's own shorter limit does not end a call: the hub's deadline does. */
const timeoutMs = 24 * 60 * 60_000;

/** Options of {@link HubAgent.call}. */
export interface HubCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears every progress notification before the result comes. */
  readonly onProgress?: ((params: Record<string, unknown>) => void) | undefined;
}

/** An MCP client connected to the running hub's `/mcp`. */
export class HubAgent {
  readonly #client: Client;
  readonly #progress = new Map<unknown, (params: Record<string, unknown>) => void>();
  #lastProgressToken = 0;

  private constructor(client: Client) {
    this.#client = client;
    // Not by the SDK's own `onprogress`: it forgets the call when the result is read, and with it the progress just before.
    client.setNotificationHandler("notifications/progress", ({ params: { progressToken, ...params } }) =>
      this.#progress.get(progressToken)?.(params),
    );
  }

  /** @throws {CliError} HUB_UNREACHABLE. */
  static async connect(run: RunFile): Promise<HubAgent> {
    const client = new Client({ name: "fed", version }, { versionNegotiation: { mode: "auto" } });
    const requestInit = { headers: { authorization: `Bearer ${run.token}` } };
    const transport = new StreamableHTTPClientTransport(new URL(`${run.url}/mcp`), { requestInit });
    await client.connect(transport).catch((cause: unknown) => {
      throw hubGone(cause);
    });
    return new HubAgent(client);
  }

  get instructions(): string | undefined {
    return this.#client.getInstructions();
  }

  listTools(options: { readonly signal: AbortSignal }): ReturnType<Client["listTools"]> {
    return this.#client.listTools({}, options);
  }

  /**
   * What one of the hub's own tools answered, a refusal by the federation among it.
   * @throws {CliError} HUB_UNREACHABLE when the hub went away.
   */
  async call(
    name: string,
    args: Record<string, unknown> | undefined,
    options: HubCallOptions = {},
  ): Promise<CallToolResult> {
    const { signal, onProgress } = options;
    const progressToken = ++this.#lastProgressToken;
    if (onProgress) this.#progress.set(progressToken, onProgress);
    try {
      return await this.#client.callTool(
        { name, arguments: args, ...(onProgress && { _meta: { progressToken } }) },
        { signal, timeout: timeoutMs },
      );
    } catch (cause) {
      throw cause instanceof ProtocolError || signal?.aborted ? cause : hubGone(cause);
    } finally {
      this.#progress.delete(progressToken);
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
