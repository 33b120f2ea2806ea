/** The `fed` command: parses, hands over to a command, and turns whatever went wrong into a code and an exit status. */
import { homedir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { addApprovalCommands } from "./commands/approvals.js";
import { addAppCommands } from "./commands/apps.js";
import { addAuditCommands } from "./commands/audit.js";
import { addClusterCommands } from "./commands/cluster.js";
import { addConsentCommands } from "./commands/consent.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addHubCommands } from "./commands/hub.js";
import { addMcpCommand } from "./commands/mcp.js";
import { addRelayCommand } from "./commands/relay.js";
import { addRevocationCommands } from "./commands/revocation.js";
import { addSharingCommands } from "./commands/sharing.js";
import { addTapCommand } from "./commands/tap.js";
import { addTokenCommands } from "./commands/token.js";
import { CliError, reportError } from "./output.js";
import { version } from "./version.js";

/** What every command knows. */
export interface Globals {
  /** The hub's state directory. */
  readonly dir: string;
  readonly json: boolean;
}

/**
 * Runs one command line. A command imports what it needs when it runs: `fed --help` and a question to a hub that is
 * running wait neither for the hub nor for the MCP SDK to load.
 * @returns the exit status: 0 well, 1 refused or failed, 2 wrong usage.
 */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command("fed")
    .description("Talk to one hub, drive the whole fleet.")
    .version(version)
    .option("--dir <dir>", "state directory of the hub", process.env.FED_DIR || join(homedir(), ".fed"))
    .option("--json", "one JSON document on stdout", false)
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  const globals = (): Globals => program.opts<Globals>();
  addHubCommands(program, globals);
  addMcpCommand(program, globals);
  addClusterCommands(program, globals);
  addAppCommands(program, globals);
  addSharingCommands(program, globals);
  addConsentCommands(program, globals);
  addApprovalCommands(program, globals);
  addRevocationCommands(program, globals);
  addTokenCommands(program, globals);
  addAuditCommands(program, globals);
  addTapCommand(program, globals);
  addDoctorCommand(program, globals);
  addRelayCommand(program, globals);
  try {
    await program.parseAsync(args, { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(args.includes("--json"), error);
    if (error.exitCode === 0) return 0;
    // `fed` or `fed cluster` alone: the help has been printed.
    if (error.code === "commander.help") return 2;
    const command = program.commands.map((each) => each.name()).find((name) => args.includes(name));
    return reportError(args.includes("--json"), wrongUsage(error, command));
  }
}

function wrongUsage({ message }: CommanderError, command: string | undefined): CliError {
  const said = message.replace(/^error: /, "").replaceAll("\n", " ");
  return new CliError({
    code: "USAGE",
    message: `${said[0]?.toUpperCase()}${said.slice(1)}${/[.)]$/.test(said) ? "" : "."}`,
    hint: `See \`fed ${command === undefined ? "" : `${command} `}--help\`.`,
  });
}
