/** `fed token`: what agents and their sub-agents carry. */
import type { IssuedToken, Scope, TokenInfo, TokenRequest } from "@fed/hub";
import { type Command, Option } from "commander";
import { onHub, request } from "../hub-client.js";
import type { Globals } from "../main.js";
import { ago, CliError, parseDuration, print, table } from "../output.js";
import { parseAddress } from "./address.js";

interface CreateOptions {
  readonly name: string;
  readonly scope?: Scope;
  readonly role?: readonly string[];
  readonly app?: readonly string[];
  readonly tool?: readonly string[];
  readonly ttl?: string;
  readonly parent?: string;
}

/** Adds the commands. */
export function addTokenCommands(program: Command, globals: () => Globals): void {
  const token = program.command("token").description("the tokens of agents: make, list, revoke");

  token
    .command("create")
    .description("a token for an agent, shown once")
    .requiredOption("--name <name>", "on whose authority the agent acts; with --parent what to call the sub-agent")
    .addOption(
      new Option("--scope <scope>", "how much it may do; needed without --parent").choices([
        "ReadOnly",
        "ReadWrite",
        "Admin",
      ]),
    )
    .option("--role <role...>", "roles that sharing goes by")
    .option("--app <hub/app...>", "only these apps")
    .option("--tool <tool...>", "only these tools of them")
    .option("--ttl <duration>", "how long it is good; default until it is revoked")
    .option("--parent <id>", "narrower than this token, and gone with it")
    .action(async (options: CreateOptions) => {
      const { dir, json } = globals();
      const wanted = tokenRequest(options);
      const made = await onHub(
        dir,
        (run) => request<IssuedToken>(run, "POST", "/agent-tokens", wanted),
        (hub) => hub.operators.issueToken(wanted),
      );
      print(json, made, (issued) => [
        issued.token,
        "",
        `It is ${issued.id}: ${issued.scope}, for ${placesOf(issued)}, ${untilOf(issued)}. It is not shown again.`,
      ]);
    });

  token
    .command("list")
    .description("every token: whose, what for, until when, when it was used")
    .action(async () => {
      const { dir, json } = globals();
      const tokens = await onHub(
        dir,
        (run) => request<TokenInfo[]>(run, "GET", "/agent-tokens"),
        async (hub) => hub.operators.tokens(),
      );
      print(json, tokens, showTokens);
    });

  token
    .command("revoke <id>")
    .description("end a token and all that were made with it, now")
    .action(async (id: string) => {
      const { dir, json } = globals();
      const ended = await onHub(
        dir,
        (run) => request<TokenInfo[]>(run, "DELETE", `/agent-tokens/${encodeURIComponent(id)}`),
        (hub) => hub.operators.revokeToken(id),
      );
      print(json, ended, (tokens) =>
        tokens.length === 0 ? `${id} had ended before.` : tokens.map((each) => `${each.id} (${each.name}) is revoked.`),
      );
    });
}

function tokenRequest({ name, scope, role, app, tool, ttl, parent }: CreateOptions): TokenRequest {
  if (scope === undefined && parent === undefined) {
    throw new CliError({
      code: "USAGE",
      message: "A token without a parent needs a scope.",
      hint: "Add --scope ReadOnly, ReadWrite or Admin.",
    });
  }
  if (tool !== undefined && app === undefined) {
    throw new CliError({ code: "USAGE", message: "Tools need an app.", hint: "Add --app HUB/APP." });
  }
  const places = app?.map(parseAddress);
  const allow = tool ? places?.flatMap((place) => tool.map((each) => ({ ...place, tool: each }))) : places;
  return { name, scope, roles: role, allow, ttlMs: ttl === undefined ? undefined : parseDuration(ttl), parent };
}

function showTokens(tokens: readonly TokenInfo[]): string {
  if (tokens.length === 0) return "There is no token.";
  return table([
    ["ID", "NAME", "OPERATOR", "SCOPE", "FOR", "STATE", "USED", "PARENT"],
    ...tokens.map((token) => [
      token.id,
      token.name,
      token.operator.replace(/@.*/, ""),
      token.scope,
      placesOf(token),
      token.state === "active" ? untilOf(token) : token.state,
      token.lastUsedAtMs === undefined ? "never" : ago(token.lastUsedAtMs),
      token.parent ?? "",
    ]),
  ]);
}

function placesOf({ allow }: TokenInfo): string {
  if (!allow) return "all apps";
  return allow
    .map(
      ({ hub, app, tool }) =>
        `${hub === undefined ? "" : `${hub}/`}${app ?? "*"}${tool === undefined ? "" : `:${tool}`}`,
    )
    .join(" ");
}

function untilOf({ expiresAtMs }: TokenInfo): string {
  return expiresAtMs === undefined ? "until revoked" : `until ${new Date(expiresAtMs).toISOString()}`;
}
