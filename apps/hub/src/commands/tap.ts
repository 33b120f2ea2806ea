/** `fed tap`: the running hub's calls, as they happen. */
import { FedError } from "@fed/core";
import type { TapEvent } from "@fed/hub";
import type { Command } from "commander";
import { openEventStream } from "../event-stream.js";
import { requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { tapLine } from "../tap-line.js";

interface TapCommandOptions {
  readonly app?: string;
  readonly operator?: string;
  readonly bodies: boolean;
}

/** Adds the command. */
export function addTapCommand(program: Command, globals: () => Globals): void {
  program
    .command("tap")
    .description("this hub's calls as they happen, its agents' and its peers', until you stop it")
    .option("--app <[hub/]app>", "calls of this app alone")
    .option("--operator <name>", "calls of this operator alone")
    .option("--bodies", "arguments and results too, without secrets", false)
    .action(async (options: TapCommandOptions) => {
      const { dir, json } = globals();
      const run = await requireRunning(dir);
      const ending = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
      // Whoever reads this may have seen enough: `fed tap | head`.
      process.stdout.on("error", () => ending.abort());
      for await (const { name, data } of openEventStream(run, `/tap?${queryOf(options)}`, ending.signal)) {
        if (name === "refused") {
          const { code, message, hint } = data as { code: string; message: string; hint?: string };
          throw new FedError({ code, message, hint });
        }
        process.stdout.write(`${json ? JSON.stringify(data) : tapLine(data as TapEvent)}\n`);
      }
    });
}

function queryOf({ app, operator, bodies }: TapCommandOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (app !== undefined) {
    const slash = app.indexOf("/");
    if (slash >= 0) query.set("hub", app.slice(0, slash));
    query.set("app", app.slice(slash + 1));
  }
  if (operator !== undefined) query.set("operator", operator);
  if (bodies) query.set("bodies", "true");
  return query;
}
