/** The running hub's tools on this process's standard streams, with progress and cancellation. */
import { isFedError } from "@fed/core";
import type { RunFile } from "@fed/hub";
import { Server } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { HubAgent } from "./hub-agent.js";
import { notRunning, readRunFile, requireRunning } from "./hub-client.js";
import { version } from "./version.js";

/** Serves the hub of `dir` until stdin ends. @throws {CliError} HUB_NOT_RUNNING. */
export async function serveHubOnStdio(dir: string): Promise<void> {
  const link = new HubLink(dir);
  const instructions = (await link.open(await requireRunning(dir))).instructions;
  const ended = new Promise<void>((resolve) => process.stdin.once("close", resolve).once("end", resolve));
  const handle = serveStdio(() => forwarder(link, instructions));
  await ended;
  await handle.close();
  await link.close();
}

/** The way to a hub that may be restarted while the agent in front of it goes on. */
class HubLink {
  readonly #dir: string;
  #run: RunFile | undefined;
  #agent: Promise<HubAgent> | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The agent of the hub that runs now. @throws {CliError} HUB_NOT_RUNNING. */
  async current(): Promise<HubAgent> {
    const run = readRunFile(this.#dir);
    if (!run) throw notRunning(this.#dir);
    // Each run of a hub has a token of its own.
    return run.token === this.#run?.token && this.#agent ? this.#agent : this.open(run);
  }

  open(run: RunFile): Promise<HubAgent> {
    const before = this.#agent;
    const agent = HubAgent.connect(run);
    this.#run = run;
    this.#agent = agent;
    agent.catch(() => {
      if (this.#agent === agent) this.#agent = undefined;
    });
    void before?.then((old) => old.close()).catch(() => {});
    return agent;
  }

  async close(): Promise<void> {
    await (await this.#agent)?.close();
  }
}

function forwarder(link: HubLink, instructions: string | undefined): Server {
  const server = new Server({ name: "fed", title: "fed hub", version }, { capabilities: { tools: {} }, instructions });
  server.setRequestHandler("tools/list", async (_request, { mcpReq }) =>
    (await link.current()).listTools({ signal: mcpReq.signal }),
  );
  server.setRequestHandler("tools/call", async ({ params }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    try {
      const hub = await link.current();
      return await hub.call(params.name, params.arguments, {
        signal: mcpReq.signal,
        onProgress:
          progressToken === undefined
            ? undefined
            : (progress) =>
                void mcpReq.notify({
                  method: "notifications/progress",
                  params: { ...(progress as { progress: number }), progressToken },
                }),
      });
    } catch (error) {
      if (!isFedError(error)) throw error;
      const { failure } = await import("@fed/hub");
      return failure(error, {});
    }
  });
  return server;
}
