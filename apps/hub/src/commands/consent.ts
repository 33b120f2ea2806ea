/** `fed risk` and `fed consent`: what the tools of this hub's apps can do, and which of their calls wait for its operator. */
import type { Asking, RatedTool, ToolRuleChange, ToolRules } from "@fed/hub";
import { type Command, Option } from "commander";
import { onHub, request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { CliError, print, table } from "../output.js";

const levels = ["read", "write", "execute"] as const;

interface ConsentOptions {
  readonly tool: string;
  readonly write?: Asking;
  readonly execute?: Asking;
  /** False: `--no-redact`. */
  readonly redact?: readonly string[] | boolean;
}

/** Adds the commands. */
export function addConsentCommands(program: Command, globals: () => Globals): void {
  program
    .command("risk <app> [tool] [level]")
    .description(
      "what the tools of an app of this hub can do; or set it: read, write, execute, or auto for what the app says",
    )
    .action(async (app: string, tool: string | undefined, level: string | undefined) => {
      const { dir, json } = globals();
      if (level !== undefined) {
        const rules = await change(dir, app, tool!, { risk: levelOf(level) });
        print(json, rules, () => showRules(rules, app));
        return;
      }
      const path = `/apps/${encodeURIComponent(app)}/tools`;
      const tools = await request<RatedTool[]>(await requireRunning(dir), "GET", path);
      print(
        json,
        tools.filter((each) => tool === undefined || each.tool === tool),
        showTools,
      );
    });

  const asking = (name: string, which: string) => new Option(`--${name} <answer>`, which).choices(["ask", "allow"]);
  program
    .command("consent <app>")
    .description("ask the operator of this hub before tools of an app run; without options what is set")
    .option("--tool <name>", "this tool alone; a trailing * matches what follows", "*")
    .addOption(asking("write", "before tools of risk write"))
    .addOption(asking("execute", "before tools of risk execute"))
    .option("--redact <field...>", "fields of results that never leave this hub, e.g. login.token")
    .option("--no-redact", "let all fields leave again")
    .action(async (app: string, { tool, write, execute, redact }: ConsentOptions) => {
      const { dir, json } = globals();
      const fields = redact === false ? null : Array.isArray(redact) ? (redact as readonly string[]) : undefined;
      const wanted: ToolRuleChange = { write, execute, redact: fields };
      const nothing = Object.values(wanted).every((value) => value === undefined);
      const rules = nothing
        ? await onHub(
            dir,
            (run) => request<ToolRules>(run, "GET", "/tool-rules"),
            async (hub) => hub.consent.rules,
          )
        : await change(dir, app, tool, wanted);
      print(json, rules, () => showRules(rules, app));
    });
}

function change(dir: string, app: string, tools: string, wanted: ToolRuleChange): Promise<ToolRules> {
  return onHub(
    dir,
    (run) => request<ToolRules>(run, "POST", "/tool-rules", { app, tools, ...wanted }),
    async (hub) => {
      await hub.consent.change(app, tools, wanted);
      return hub.consent.rules;
    },
  );
}

function levelOf(text: string): (typeof levels)[number] | null {
  if (text === "auto") return null;
  const level = levels.find((each) => each === text);
  if (level) return level;
  throw new CliError({
    code: "USAGE",
    message: `${text} is not a risk.`,
    hint: "Say read, write or execute, or auto for what the app itself says.",
  });
}

function showTools(tools: readonly RatedTool[]): string {
  if (tools.length === 0) return "No such tool is known.";
  return table([
    ["TOOL", "RISK", "SAID BY", "ASKED"],
    ...tools.map(({ tool, risk, by, asked }) => [tool, risk, by, asked ? "yes" : "no"]),
  ]);
}

function showRules({ apps }: ToolRules, app: string): string | string[] {
  const own = Object.entries(apps[app] ?? {});
  if (own.length === 0) return `${app}: nothing is set; its tools run without asking.`;
  return own.map(([tools, { risk, write, execute, redact }]) =>
    [
      `${app}/${tools}:`,
      ...(risk ? [`risk ${risk}`] : []),
      ...(write ? [`write ${write}`] : []),
      ...(execute ? [`execute ${execute}`] : []),
      ...(redact ? [`redact ${redact.join(" ")}`] : []),
    ].join(" "),
  );
}
