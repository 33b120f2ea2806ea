/** Starts a conversation with an app, whatever kind it is: a command, a URL, or a server inside this process. */
import { type Clock, toFedError } from "@fed/core";
import { HubError } from "../errors.js";
import type { AppConfig } from "./app-config.js";
import type { AppConnection } from "./app-connection.js";
import type { AppLog } from "./app-log.js";
import { concealment } from "./app-secrets.js";
import { connectApp, type Era } from "./connect-app.js";
import type { GroupLedger } from "./group-ledger.js";
import { StdioTransport } from "./stdio-transport.js";

/** An app that runs. */
export interface RunningApp {
  readonly connection: AppConnection;
  /** Of the process that leads its group; undefined for an app that is no process of the hub's. */
  readonly pid: number | undefined;
  /** Resolves when nothing of its processes is left. */
  readonly gone: Promise<void>;
  /** Why it ended, once it has and where that is known. */
  failure(): string | undefined;
}

/** Options of {@link openApp}. */
export interface OpenOptions {
  readonly name: string;
  readonly config: AppConfig;
  readonly clock: Clock;
  readonly log: AppLog;
  readonly ledger: GroupLedger;
  /** What it spoke the last time. */
  readonly era: Era | undefined;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
}

/** @throws {HubError} APP_START_FAILED with what the app printed last and without its secrets; nothing of it is left then. */
export async function openApp({ name, config, clock, log, ledger, era, signal }: OpenOptions): Promise<RunningApp> {
  let process: StdioTransport | undefined;
  const open = async () => {
    // The SDK takes memory and time to load, and a hub whose apps are all commands needs none of it.
    if ("server" in config) return (await import("./in-process.js")).connectInProcess(config.server);
    if ("url" in config) return (await import("./http-transport.js")).connectHttp(name, config);
    // Two processes of one app at a time could be in each other's way.
    await process?.gone;
    process = new StdioTransport({ app: name, config, log, ledger });
    return process;
  };
  try {
    const connection = await connectApp({ app: name, open, clock, era, signal });
    return {
      connection,
      pid: process?.pid,
      gone: process?.gone ?? Promise.resolve(),
      failure: () => process?.failure,
    };
  } catch (cause) {
    await process?.gone;
    const conceal = concealment(config);
    const said = process?.failure ? `App ${name} did not start: ${process.failure}` : toFedError(cause).message;
    const printed = log.last(conceal);
    throw new HubError({
      code: "APP_START_FAILED",
      message: conceal(printed === "" ? said : `${said} — it printed: ${printed}`),
      hint: "Check its entry in the mcpServers file; `fed apps logs` shows what it printed.",
      retryable: true,
    });
  }
}
