/** `fed approvals`: the calls that wait for the operator of this hub, and the answers. */
import { createInterface } from "node:readline/promises";
import { setTimeout } from "node:timers/promises";
import { isFedError } from "@fed/core";
import type { Approval, ApprovalDecision, RunFile, StandingAnswer } from "@fed/hub";
import type { Command } from "commander";
import { request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { print, table } from "../output.js";

interface Listed {
  readonly pending: readonly Approval[];
  readonly standing: readonly StandingAnswer[];
}

interface Answered {
  readonly decision: ApprovalDecision;
  readonly approval: Approval;
}

const pollMs = 500;

/** Adds the commands. */
export function addApprovalCommands(program: Command, globals: () => Globals): void {
  const approvals = program
    .command("approvals")
    .description("calls that wait for the operator of this hub, and what was answered for good")
    .action(async () => {
      const { dir, json } = globals();
      print(json, await request<Listed>(await requireRunning(dir), "GET", "/approvals"), showAll);
    });

  approvals
    .command("allow <id>")
    .description("let a call run")
    .option(
      "--session",
      "and further calls of the same hub, operator, app and tool, for 12 hours or until the hub restarts",
    )
    .action((id: string, { session }: { session?: boolean }) => answer(globals(), id, session ? "session" : "once"));

  approvals
    .command("deny <id>")
    .description("refuse a call")
    .option(
      "--always",
      "and further calls of the same hub, operator, app and tool, for 12 hours or until the hub restarts",
    )
    .action((id: string, { always }: { always?: boolean }) => answer(globals(), id, always ? "never" : "deny"));

  approvals
    .command("forget <id>")
    .description("take back what was answered for further calls")
    .action(async (id: string) => {
      const { dir, json } = globals();
      await request(await requireRunning(dir), "DELETE", pathOf(id));
      print(json, { forgotten: id }, () => `${id} is taken back; the next such call is asked about again.`);
    });

  approvals
    .command("watch")
    .description(
      "show calls as they begin to wait, and ask for an answer where there is a terminal; with --json one a line",
    )
    .action(async () => {
      const { dir, json } = globals();
      const run = await requireRunning(dir);
      const stop = new AbortController();
      const onSignal = () => stop.abort();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
      await watch(run, json, stop.signal);
    });
}

async function answer({ dir, json }: Globals, id: string, decision: ApprovalDecision): Promise<void> {
  const answered = await send(await requireRunning(dir), id, decision);
  print(json, answered, showAnswer);
}

function send(run: RunFile, id: string, decision: ApprovalDecision): Promise<Answered> {
  return request<Answered>(run, "POST", pathOf(id), { decision });
}

/** @throws {FedError} when the hub is gone. */
async function watch(run: RunFile, json: boolean, stopped: AbortSignal): Promise<void> {
  const asks = !json && process.stdin.isTTY && process.stdout.isTTY;
  if (!json) process.stderr.write("Waiting for calls to approve. Stop with Ctrl-C.\n");
  let seen = new Set<string>();
  while (!stopped.aborted) {
    const { pending } = await request<Listed>(run, "GET", "/approvals");
    for (const approval of pending) {
      if (seen.has(approval.id) || stopped.aborted) continue;
      process.stdout.write(json ? `${JSON.stringify(approval)}\n` : `${showApproval(approval)}\n`);
      if (asks) await prompt(run, approval, stopped);
    }
    seen = new Set(pending.map(({ id }) => id));
    await setTimeout(pollMs, undefined, { signal: stopped }).catch(() => {});
  }
}

const keys: Readonly<Record<string, ApprovalDecision>> = { y: "once", s: "session", n: "deny", v: "never" };

/** Asks until there is an answer, or the call waits no more. */
async function prompt(run: RunFile, { id, expiresAtMs }: Approval, stopped: AbortSignal): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // The terminal takes Ctrl-C while it asks.
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const late = AbortSignal.timeout(Math.max(1, expiresAtMs - Date.now()));
  const left = new AbortController();
  terminal.once("close", () => left.abort());
  const signal = AbortSignal.any([late, stopped, left.signal]);
  try {
    for (;;) {
      const said = await terminal.question("  allow? [y]es, for the [s]ession, [n]o, ne[v]er: ", { signal });
      const decision = keys[said.trim().toLowerCase()];
      if (decision === undefined) continue;
      process.stdout.write(`${showAnswer(await send(run, id, decision))}\n`);
      return;
    }
  } catch (cause) {
    const gone = isFedError(cause) && cause.code === "APPROVAL_UNKNOWN";
    if (!signal.aborted && !gone) throw cause;
    if (late.aborted || gone) process.stdout.write("\n  It waits no more.\n");
  } finally {
    terminal.close();
  }
}

function pathOf(id: string): string {
  return `/approvals/${encodeURIComponent(id)}`;
}

function showAll({ pending, standing }: Listed): string[] {
  return [
    ...(pending.length === 0 ? ["Nothing waits for approval."] : pending.map(showApproval)),
    ...(standing.length === 0
      ? []
      : [
          "",
          table([
            ["ID", "ANSWER", "WHO", "WHAT", "UNTIL"],
            ...standing.map((each) => [each.id, each.decision, whoOf(each), whatOf(each), timeOf(each.expiresAtMs)]),
          ]),
        ]),
  ];
}

function showApproval(approval: Approval): string {
  const { id, roles, risk, arguments: args, expiresAtMs } = approval;
  const left = Math.max(0, Math.round((expiresAtMs - Date.now()) / 1000));
  const as = roles.length > 0 ? ` (${roles.join(", ")})` : "";
  return [
    `${id}  ${whoOf(approval)}${as} wants ${whatOf(approval)} [${risk ?? "risk unknown"}], ${left} s left`,
    `  ${oneLine(JSON.stringify(args))}`,
  ].join("\n");
}

function showAnswer({ decision, approval }: Answered): string {
  const words = {
    once: "runs",
    session: "runs, and so do further calls",
    deny: "is refused",
    never: "is refused, and so are further calls",
  };
  return `${whatOf(approval)} of ${whoOf(approval)} ${words[decision]}.`;
}

function whoOf({ operator, hub }: Pick<Approval, "operator" | "hub">): string {
  return oneLine(`${operator.replace(/@.*$/, "")}@${hub}`);
}

function whatOf({ app, tool, method }: Pick<Approval, "app" | "tool" | "method">): string {
  return oneLine(`${app} ${tool ?? method}`);
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** What comes from others must not move the cursor of an operator who is about to decide on it. */
function oneLine(text: string): string {
  return text.replace(/\p{C}/gu, "?");
}
