/** How a conversation with an app begins: which revision of MCP it speaks, asked once and remembered by the caller. */
import type { Clock } from "@fed/core";
import type { Transport } from "@modelcontextprotocol/client";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { hubInfo, modernParams, modernRevision } from "../mcp/meta.js";
import type { AppConnection } from "./app-connection.js";
import { LegacyApp } from "./legacy-app.js";
import { ModernApp } from "./modern-app.js";
import { RpcPeer } from "./rpc-peer.js";

/** Whether an app knows the stateless revision of MCP. */
export type Era = "legacy" | "modern";

/** Options of {@link connectApp}. */
export interface ConnectOptions {
  readonly app: string;
  /** A transport that is not started; called once more for an app that does not survive the question. */
  open(): Promise<Transport>;
  readonly clock: Clock;
  /** What the app spoke the last time. Absent: it is asked. */
  readonly era?: Era | undefined;
  /** Ends the attempt. */
  readonly signal?: AbortSignal;
}

/** The revision an older app is asked for, and those it may answer with. */
const legacyRevisions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const probeMs = 5_000;
const connectMs = 30_000;
const nobody = { capabilities: {}, clientInfo: undefined, logLevel: undefined, progress: false };

/** @throws {HubError} APP_START_FAILED when it cannot be reached or speaks no MCP that this hub knows. */
export async function connectApp(options: ConnectOptions): Promise<AppConnection> {
  let peer = await openPeer(options);
  try {
    if (options.era !== "legacy") {
      const discovered = await discover(peer, options);
      if (discovered) {
        const app = new ModernApp(peer, discovered);
        peer.handlers = app;
        peer.setRevision(modernRevision);
        return app;
      }
      if (peer.hasEnded) peer = await openPeer(options);
    }
    return await initialize(peer, options);
  } catch (cause) {
    await peer.close();
    throw startFailed(options.app, cause);
  }
}

async function openPeer({ app, open }: ConnectOptions): Promise<RpcPeer> {
  try {
    const peer = new RpcPeer(app, await open());
    await peer.start();
    return peer;
  } catch (cause) {
    throw startFailed(app, cause);
  }
}

/** The app's description, or undefined of one that does not know the question. */
async function discover(peer: RpcPeer, options: ConnectOptions): Promise<Record<string, unknown> | undefined> {
  try {
    const result = await timed(peer, "server/discover", modernParams({}, nobody, 0), probeMs, options);
    const { supportedVersions } = isObject(result) ? result : {};
    return Array.isArray(supportedVersions) && supportedVersions.includes(modernRevision)
      ? (result as Record<string, unknown>)
      : undefined;
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    return undefined;
  }
}

async function initialize(peer: RpcPeer, options: ConnectOptions): Promise<AppConnection> {
  const params = {
    protocolVersion: legacyRevisions[0],
    capabilities: { elicitation: { form: {}, url: {} }, roots: {}, sampling: { tools: {}, context: {} } },
    clientInfo: hubInfo,
  };
  const result = await timed(peer, "initialize", params, connectMs, options);
  if (!isObject(result) || !legacyRevisions.includes(String(result.protocolVersion))) {
    throw new HubError({ code: "APP_START_FAILED", message: "It speaks no revision of MCP that this hub knows." });
  }
  const app = new LegacyApp(peer, result, options.clock);
  peer.handlers = app;
  peer.setRevision(app.revision);
  peer.notify("notifications/initialized", {});
  return app;
}

async function timed(
  peer: RpcPeer,
  method: string,
  params: Record<string, unknown>,
  afterMs: number,
  { clock, signal }: ConnectOptions,
): Promise<unknown> {
  const controller = new AbortController();
  const timer = clock.setTimer(afterMs, () =>
    controller.abort(
      new HubError({ code: "APP_START_FAILED", message: `No answer to ${method} within ${afterMs / 1000} s.` }),
    ),
  );
  try {
    return await peer.request(method, params, {
      signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
    });
  } finally {
    timer.cancel();
  }
}

function startFailed(app: string, cause: unknown): HubError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new HubError({
    code: "APP_START_FAILED",
    message: `App ${app} did not start: ${(message.split("\n", 1)[0] ?? "").slice(0, 300)}`,
    hint: "Check its command, arguments and environment in the mcpServers file.",
    retryable: true,
    cause,
  });
}
