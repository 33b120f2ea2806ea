/**
 * The main job: an MCP client on one hub drives real MCP servers on two others, one over the LAN and one through a relay
 * that cannot read a byte. `--keep` leaves the fleet running and says how to look around.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { fed, fedUp, run, stopAll } from "./fed.ts";
import { knock, sendTwice } from "./intruders.ts";
import { chapter, held, must, say, summary, tick, ticked } from "./report.ts";

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const keep = process.argv.includes("--keep");
const root = mkdtempSync(join(tmpdir(), "fed-demo-"));
const dir = (hub: string) => join(root, hub);
const marker = `marker-${crypto.randomUUID()}`;

interface HubUp {
  readonly hubId: string;
  readonly mcp: string;
}
interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}
type Listed = { hub: string; app: string; path: string; status: string };
type CallResult = Awaited<ReturnType<Client["callTool"]>>;

/** Writes the `mcpServers` file of a hub, in the form that every MCP client reads. */
function mcpServers(
  hub: string,
  apps: Record<string, { server: string; args?: string[]; env?: Record<string, string>; tap?: string }>,
): string {
  const entries = Object.entries(apps).map(([name, { server, args = [], env, tap }]) => {
    const command = [require.resolve(`@modelcontextprotocol/server-${server}/dist/index.js`), ...args];
    const tapped = tap === undefined ? command : [join(here, "tap.ts"), tap, process.execPath, ...command];
    // With the hub, not with the first call: that one is timed.
    return [name, { command: process.execPath, args: tapped, env, fed: { start: "eager" } }];
  });
  const file = join(dir(hub), "mcp.json");
  writeFileSync(file, JSON.stringify({ mcpServers: Object.fromEntries(entries) }, undefined, 2));
  return file;
}

async function until(what: string, test: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<number> {
  const startedAt = performance.now();
  while (!(await test())) {
    must(performance.now() - startedAt < timeoutMs, `${what} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - startedAt;
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const startedAt = performance.now();
  const value = await work();
  return [value, performance.now() - startedAt];
}

function failureOf(result: CallResult): Failure | undefined {
  return (result.structuredContent as { error?: Failure } | undefined)?.error;
}

function textOf(result: CallResult): string {
  return result.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

interface Lan {
  readonly lan: { readonly discovery: string; readonly seenByMulticast: number; readonly addresses: readonly string[] };
}

function lanOf(hub: string): Promise<Lan> {
  return fed<Lan>(dir(hub), "cluster", "status");
}

async function main(): Promise<void> {
  // ── the fleet
  chapter("Four processes: a relay and three hubs, each with its own state directory");
  const tokens: Record<string, string> = {};
  for (const hub of ["pc1", "pc2", "phone", "probe"])
    tokens[hub] = (await fed<{ token: string }>(dir(hub), "init", "--name", hub)).token;
  const founded = await fed<{ clusterId: string; relayAdmissionKey: string }>(dir("pc1"), "cluster", "create", "home");
  say(`pc1 founds the cluster home, ${founded.clusterId.slice(0, 12)}…`);
  const capture = join(root, "relay-capture.bin");
  const { up: relay } = await fedUp<{ url: string }>(
    root,
    "relay",
    "--listen",
    "127.0.0.1:0",
    "--admit",
    founded.relayAdmissionKey,
    "--capture",
    capture,
  );
  say(`relay at ${relay.url}: it knows the cluster's public admission key and nothing else`);

  const filesFolder = join(root, "pc2-files");
  mkdirSync(filesFolder);
  const heard = join(root, "tasks-heard.jsonl");
  const memoryFile = join(root, "phone-memory.jsonl");
  const pc1Apps = mcpServers("pc1", {
    scratch: { server: "memory", env: { MEMORY_FILE_PATH: join(root, "pc1-memory.jsonl") } },
  });
  const pc2Apps = mcpServers("pc2", {
    files: { server: "filesystem", args: [filesFolder] },
    tasks: { server: "everything", tap: heard },
    diary: { server: "memory", env: { MEMORY_FILE_PATH: join(root, "pc2-diary.jsonl") } },
  });
  const phoneApps = mcpServers("phone", { memory: { server: "memory", env: { MEMORY_FILE_PATH: memoryFile } } });
  const [{ up: pc1 }, { up: pc2 }, { up: phone }, probe] = await Promise.all([
    fedUp<HubUp>(dir("pc1"), "up", "--mcp-config", pc1Apps, "--lan", "--relay", relay.url),
    fedUp<HubUp>(dir("pc2"), "up", "--mcp-config", pc2Apps, "--lan"),
    fedUp<HubUp>(dir("phone"), "up", "--mcp-config", phoneApps, "--relay", relay.url),
    fedUp<HubUp>(dir("probe"), "up", "--lan"),
  ]);
  say("pc1 and pc2 are on the LAN, phone has only its outbound connection to the relay");

  // ── joining
  chapter("pc1 invites, the others join with keys they made themselves");
  await until(
    "pc1 reaches the relay",
    async () =>
      (await fed<{ relays: { status: string }[] }>(dir("pc1"), "cluster", "status")).relays[0]?.status === "up",
  );
  for (const hub of ["pc2", "phone", "probe"]) {
    const { token } = await fed<{ token: string }>(dir("pc1"), "invite");
    const [{ via, connected }, ms] = await timed(() =>
      fed<{ via: string; connected: boolean }>(dir(hub), "join", token),
    );
    must(connected, `${hub} has a session as a member`);
    if (hub !== "probe") held(`${hub} joins`, via, ms, "single-use token, pinned CA, own keys");
    const again = await run(dir("probe"), "join", token);
    must(again.code === 1, "a used token is refused");
  }
  await probe.stop();
  held("a token is used a second time", "", undefined, "refused");
  await fed(dir("pc2"), "share", "files", "cluster");
  await fed(dir("pc2"), "share", "tasks", "cluster");
  await fed(dir("phone"), "share", "memory", "cluster");
  const { lan } = await lanOf("pc2");
  say(
    lan.seenByMulticast > 0
      ? "LAN: pc1 and pc2 found each other by mDNS under _aiappuse._tcp"
      : `LAN: multicast does not work here (${lan.discovery}); the addresses in the tokens serve as the static peer list`,
  );

  // ── the main job
  chapter("An MCP client connects to pc1 and drives the fleet");
  const client = new Client({ name: "demo", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(pc1.mcp), {
      requestInit: { headers: { authorization: `Bearer ${tokens.pc1}` } },
    }),
  );
  const list = async () =>
    (await client.callTool({ name: "apps.list", arguments: {} })).structuredContent as { apps: Listed[] };
  const call = (hub: string, app: string, tool: string, args: object = {}, options: object = {}) =>
    client.callTool(
      { name: "app.call", arguments: { hub, app, tool, arguments: args } },
      { timeout: 30_000, ...options },
    );

  await until(
    "all four apps are ready",
    async () => (await list()).apps.filter(({ status }) => status === "ready").length === 4,
    20_000,
  );
  const [{ apps }, listMs] = await timed(list);
  for (const { hub, app, path } of apps) say(`${`${hub}/${app}`.padEnd(14)} ${path}`);
  const pathOf = (hub: string) => apps.find((app) => app.hub === hub)?.path;
  must(
    pathOf("pc1") === "local" && pathOf("pc2") === "lan" && pathOf("phone") === "relay",
    "each hub is reached over its own path",
  );
  must(!apps.some((app) => app.app === "diary"), "an app that nobody shared is not listed");
  held("apps.list on pc1", "all", listMs, `${apps.length} apps on 3 hubs`);

  const file = join(filesFolder, "hello.txt");
  const [written, writeMs] = await timed(() =>
    call("pc2", "files", "write_file", { path: file, content: `Hello from pc1. ${marker}` }),
  );
  must(!written.isError && readFileSync(file, "utf8").includes(marker), "the file is on pc2's disk");
  held("write a file on pc2", "lan", writeMs, "it is on pc2's disk");
  const [read, readMs] = await timed(() => call("pc2", "files", "read_text_file", { path: file }));
  must(textOf(read).includes(marker), "the file reads back");
  held("read it back", "lan", readMs, "the same text");

  const entity = { name: marker, entityType: "secret", observations: ["only phone and pc1 may know this"] };
  const [stored, storeMs] = await timed(() => call("phone", "memory", "create_entities", { entities: [entity] }));
  must(!stored.isError && readFileSync(memoryFile, "utf8").includes(marker), "the memory is on phone's disk");
  held("store memory on phone", "relay", storeMs, "it is on phone's disk");
  const [recalled, recallMs] = await timed(() => call("phone", "memory", "search_nodes", { query: marker }));
  must(textOf(recalled).includes("only phone and pc1"), "the memory reads back");
  held("recall it", "relay", recallMs, "the same memory");

  const seen: number[] = [];
  const long = { duration: 1.5, steps: 5 };
  const [done, longMs] = await timed(() =>
    call("pc2", "tasks", "trigger-long-running-operation", long, {
      onprogress: ({ progress, total }: { progress: number; total?: number }) => {
        seen.push(progress);
        tick(
          `a long call on pc2: ${"█".repeat(progress)}${"░".repeat((total ?? progress) - progress)} ${progress}/${total}`,
        );
      },
    }),
  );
  ticked();
  must(
    !done.isError && seen.length >= 4 && seen.every((value, i) => value === i + 1),
    `progress came in order, and it came: ${seen}`,
  );
  held("a long call streams its progress", "lan", longMs, `${seen.length} steps seen while it ran`);

  const cancel = new AbortController();
  const cancelled = call(
    "pc2",
    "tasks",
    "trigger-long-running-operation",
    { duration: 60, steps: 60 },
    { signal: cancel.signal, onprogress: () => cancel.abort() },
  );
  const outcome = await cancelled.then(
    () => "result",
    () => "cancelled",
  );
  const cancelledAt = performance.now();
  must(outcome === "cancelled", "the cancelled call ends");
  await until("the far app hears of the cancellation", () =>
    readFileSync(heard, "utf8").includes("notifications/cancelled"),
  );
  held(
    "another call is cancelled",
    "lan",
    performance.now() - cancelledAt,
    "the far app heard notifications/cancelled",
  );

  // ── those who should not get in
  chapter("What must not work, does not");
  const diary = failureOf(await call("pc2", "diary", "read_graph"));
  must(
    diary?.code === "SHARING_DENIED" && diary.message.includes("(default-deny)"),
    "an app that nobody shared cannot be called",
  );
  held(
    "call pc2/diary, which nobody shared",
    "lan",
    undefined,
    `${diary.code} by the rule ${/\(([^)]+)\)/.exec(diary.message)?.[1]}`,
  );

  await fed(dir("stranger"), "init", "--name", "stranger");
  await fed(dir("stranger"), "cluster", "create", "elsewhere");
  const pc2Address = lan.addresses.find((address) => address.startsWith("127.")) ?? lan.addresses[0]!;
  const [refusal, knockMs] = await knock(dir("stranger"), dir("pc2"), pc2Address);
  must(refusal === "LEAF_UNTRUSTED", `a hub of another cluster is refused at the handshake: ${refusal}`);
  const audit = await fed<{ record: { type?: string; code?: string } }[]>(dir("pc2"), "audit", "tail", "--count", "50");
  must(
    audit.some(({ record }) => record.type === "peer.refused" && record.code === refusal),
    "the refusal is in pc2's audit log",
  );
  held("a hub of another cluster knocks at pc2", "lan", knockMs, `${refusal}, at the handshake`);

  const target = { hubId: pc2.hubId, app: "files", tool: "list_allowed_directories", arguments: {} };
  const { first, second, ms: replayMs } = await sendTwice(dir("probe"), pc2Address, target);
  must(first === "result" && second === "REPLAYED", `an envelope is good once: ${first}, ${second}`);
  held("an envelope is copied and sent again", "lan", replayMs, `first a ${first}, then ${second}`);

  // ── revocation
  chapter("phone is lost: pc1 revokes it");
  const report = await fed<{ hereMs: number; heldBy: { name: string; afterMs: number }[] }>(
    dir("pc1"),
    "revoke",
    "hub:phone",
    "--reason",
    "lost on a train",
  );
  const [afterwards, refusedMs] = await timed(() => call("phone", "memory", "search_nodes", { query: marker }));
  must(failureOf(afterwards)?.code === "HUB_REVOKED", "the next call is refused");
  const pc2Holds = report.heldBy.find(({ name }) => name === "pc2");
  must(pc2Holds !== undefined, "pc2 holds the list");
  held("phone's session is cut on pc1", "relay", report.hereMs, "signed, kept, in force");
  held("pc2 holds the revocation", "lan", pc2Holds.afterMs, "pushed and acknowledged");
  held("the next call to phone", "", refusedMs, "HUB_REVOKED");
  must(
    (await fed<{ name: string; state: string }[]>(dir("pc2"), "peers")).some(
      ({ name, state }) => name === "phone" && state === "revoked",
    ),
    "pc2 shows phone as revoked",
  );

  // ── the records
  chapter("The records");
  for (const hub of ["pc1", "pc2", "phone"]) {
    const [{ records }, ms] = await timed(() => fed<{ records: number }>(dir(hub), "audit", "verify"));
    held(`${hub}'s audit log verifies`, "", ms, `${records} records`);
  }
  const copy = join(root, "pc2-audit-copy");
  cpSync(join(dir("pc2"), "audit"), copy, { recursive: true });
  const segment = join(copy, readdirSync(copy).filter((name) => name.endsWith(".seg"))[0]!);
  const bytes = readFileSync(segment);
  const at = bytes.indexOf("call.decision");
  bytes[at]! ^= 1;
  writeFileSync(segment, bytes);
  const flipped = await run(dir("pc2"), "audit", "verify", "--log", copy);
  const { error } = JSON.parse(flipped.stderr) as { error: Failure };
  must(
    flipped.code === 1 && error.code === "AUDIT_TAMPERED" && /record \d+/i.test(error.message),
    `one flipped byte is found: ${flipped.stderr}`,
  );
  held("one byte of a copy is flipped", "", undefined, `${error.code}: ${/record \d+/i.exec(error.message)![0]}`);

  const captured = readFileSync(capture);
  must(captured.length > 10_000, "the relay carried the calls to phone");
  must(
    !captured.includes(marker) && !captured.includes(Buffer.from(marker).toString("base64url").slice(2, -2)),
    "the marker is not in the relay's capture",
  );
  must(!captured.includes("create_entities") && !captured.includes(phone.hubId), "neither are names or ids");
  must(readFileSync(memoryFile).includes(marker), "the search finds the marker where it is");
  held("the relay's own capture is searched", "relay", undefined, `${captured.length} bytes, the marker is not there`);

  await client.close();
  summary();
}

async function lookAround(): Promise<void> {
  const command = `npx --yes pnpm@12 --silent fed --dir ${dir("pc1")}`;
  chapter("The fleet is still running. Look around with");
  for (const words of ["apps", "peers", "path pc2", "cluster status", "revocations", "audit tail", "doctor"])
    say(`${command} ${words}`);
  say("Ctrl-C ends it.");
  await new Promise(() => {});
}

async function cleanUp(): Promise<void> {
  await stopAll();
  if (existsSync(root)) rmSync(root, { recursive: true, force: true });
}

/** However the demo comes to its end, nothing stays behind. */
function endWith(status: number): void {
  void cleanUp().finally(() => process.exit(status));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => endWith(keep ? 0 : 130));
process.once("uncaughtException", (error) => {
  console.error(error);
  endWith(1);
});
// Whoever reads along has gone, as in `demo | head`.
process.stdout.once("error", () => endWith(1));

try {
  await main();
  if (keep) await lookAround();
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await cleanUp();
}
