import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Home } from "./home.js";

const home = new Home();
beforeAll(() => home.init("pc1"));
afterAll(() => home[Symbol.asyncDispose]());

describe.concurrent("what is wrong with the command line ends in USAGE and status 2", () => {
  it.for([
    ["an unknown command", ["frobnicate"]],
    ["an unknown subcommand", ["cluster", "frobnicate"]],
    ["an unknown option", ["apps", "--frobnicate"]],
    ["an unknown option of the relay", ["relay", "--frobnicate"]],
    ["a missing argument", ["call", "pc2/notes"]],
    ["an argument too many", ["peers", "pc2"]],
    ["a missing value", ["invite", "--ttl"]],
    ["a missing reason", ["revoke", "hub:pc2"]],
    ["no duration", ["invite", "--ttl", "soon"]],
    ["no risk", ["risk", "notes", "echo", "harmless"]],
    ["an answer that is none", ["consent", "notes", "--write", "maybe"]],
    ["no HOST:PORT for HTTP", ["up", "--http", "127.0.0.1:99999"]],
    ["no HOST:PORT for the LAN", ["up", "--lan", "0.0.0.0:x"]],
    ["no such log level", ["up", "--log-level", "loud"]],
    ["no relay URL", ["up", "--relay", "relay.example"]],
    ["nothing that can be revoked", ["revoke", "pc2", "--reason", "x"]],
    ["no number of records", ["audit", "tail", "--count", "many"]],
    ["no log there", ["audit", "verify", "--log", "nowhere"]],
    ["no HUB/APP", ["call", "a/b/c", "echo"]],
    ["arguments that are no object", ["call", "pc2/notes", "echo", "[1]"]],
    ["arguments that are no JSON", ["call", "pc2/notes", "echo", "{"]],
    ["a LAN address without a host", ["up", "--lan", "--peer", "4871"]],
  ] as const)("%s", async ([, args]) => void (await home.refused("pc1", args, "USAGE", 2)));

  it("with whom to share", () => home.refused("pc1", ["share", "notes", "everybody"], "SHARE_TARGET_MALFORMED", 2));

  it("where the relay listens", () => home.refused("pc1", ["relay", "--listen", "7443"], "LISTEN_ADDRESS_INVALID", 2));
});

it.concurrent("is said to people in two lines, too", async () => {
  const refusals = [
    [["frobnicate"], 2, "USAGE"],
    [["invite", "--ttl", "soon"], 2, "USAGE"],
    [["relay", "--listen", "7443"], 2, "LISTEN_ADDRESS_INVALID"],
    [["mcp"], 1, "HUB_NOT_RUNNING"],
    [["--dir", home.path("nowhere"), "up"], 1, "STATE_MISSING"],
  ] as const;
  for (const [args, status, code] of refusals) {
    const ended = await home.run(["--dir", home.path("pc1"), ...args]);
    expect(ended).toMatchObject({ status, stdout: "" });
    expect(ended.stderr).toMatch(new RegExp(`^${code}: .+\\n {2}→ .+\\n$`));
  }
});

describe.concurrent("help", () => {
  it("names every command", async () => {
    const { status, stdout, stderr } = await home.run(["--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const commands =
      "init up mcp cluster invite join apps call share unshare risk consent approvals peers path revoke revocations token audit doctor relay";
    for (const command of commands.split(" ")) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, "m"));
    const relay = await home.run(["relay", "--help"]);
    expect(relay.status).toBe(0);
    expect(relay.stdout).toContain("--admit <key...>");
  });

  it("without a command goes to stderr, with status 2", async () => {
    for (const args of [[], ["cluster"], ["audit"]]) {
      const { status, stdout, stderr } = await home.run(args);
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr).toContain("Usage: fed");
    }
  });

  it("the version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as {
      version: string;
    };
    expect((await home.run(["--version"])).stdout).toBe(`${version}\n`);
  });
});

it.concurrent("loads neither the hub nor the MCP SDK to print its help or to ask a hub over REST", async () => {
  await using own = new Home();
  await own.init("pc1");
  await own.up("pc1");
  const trace = join(import.meta.dirname, "fixture/print-modules.mjs");
  for (const args of [["--help"], ["--dir", own.path("pc1"), "peers"]]) {
    const { status, stderr } = await own.run(args, { env: { NODE_OPTIONS: `--import ${trace}` } });
    expect(status).toBe(0);
    expect(stderr).toContain("commander");
    expect(stderr).not.toMatch(/modelcontextprotocol|packages\/hub\/|pkijs|apps\/relay/);
  }
});
