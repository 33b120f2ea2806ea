/** Starts the app in both ways it can run, and uses it with a client of either era of MCP: the same answers each time. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const script = (name: string) => new URL(name, import.meta.url).pathname;

/** The app over HTTP, and where. */
async function startHttp(): Promise<{ url: URL; child: ChildProcess }> {
  const child = spawn(process.execPath, [script("http.ts")], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  return { url: new URL(line), child };
}

/** A client that answers whatever it is asked, and what it heard of changes. */
function createClient(mode: "legacy" | "auto"): { client: Client; toolsChanged: Promise<void> } {
  const changed = Promise.withResolvers<void>();
  const client = new Client(
    { name: "conformance-app-example", version: "1.0.0" },
    {
      versionNegotiation: { mode },
      capabilities: { elicitation: {}, roots: {}, sampling: {} },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => changed.resolve() } },
    },
  );
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "Ann" } }));
  client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///home/ann" }] }));
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    content: { type: "text", text: "Hello" },
    model: "none",
  }));
  return { client, toolsChanged: changed.promise };
}

async function use(client: Client, toolsChanged: Promise<void>): Promise<void> {
  const call = async (name: string) => (await client.callTool({ name })).content;
  const describe = async () => {
    const { tools } = await client.listTools();
    return tools.find(({ name }) => name === "test_changing_tool")?.description;
  };

  assert.deepEqual(await call("test_simple_text"), [
    { type: "text", text: "This is a simple text response for testing." },
  ]);
  // Not `onprogress`: it misses what arrives together with the result.
  const progress: number[] = [];
  client.setNotificationHandler("notifications/progress", ({ params }) => void progress.push(params.progress));
  await client.callTool({ name: "test_tool_with_progress", _meta: { progressToken: "steps" } });
  assert.deepEqual(progress, [0, 50, 100]);
  const { isError } = await client.callTool({ name: "test_error_handling" });
  assert.equal(isError, true);

  // The client is asked: by a request of its own in the old era, by an unfinished result in the new one.
  assert.deepEqual(await call("test_input_required_result_elicitation"), [{ type: "text", text: "Hello, Ann!" }]);
  const [several] = await call("test_input_required_result_multiple_inputs");
  assert.ok(several?.type === "text");
  assert.match(several.text, /Hello.* Ann, 1 roots/);

  const { contents } = await client.readResource({ uri: "test://template/42/data" });
  assert.match((contents[0] as { text: string }).text, /"id":"42"/);
  const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" } as const;
  const { completion } = await client.complete({ ref, argument: { name: "arg1", value: "par" } });
  assert.deepEqual(completion.values, ["paris", "park", "party"]);
  const { messages } = await client.getPrompt({ name: ref.name, arguments: { arg1: "a", arg2: "b" } });
  assert.equal(messages.length, 1);

  const before = await describe();
  await call("test_trigger_tool_change");
  await toolsChanged;
  assert.notEqual(await describe(), before);
}

const { url, child } = await startHttp();
try {
  for (const [mode, revision] of [
    ["legacy", "2025-11-25"],
    ["auto", "2026-07-28"],
  ] as const) {
    for (const way of ["stdio", "HTTP"] as const) {
      const { client, toolsChanged } = createClient(mode);
      await client.connect(
        way === "HTTP"
          ? new StreamableHTTPClientTransport(url)
          : new StdioClientTransport({ command: process.execPath, args: [script("stdio.ts")] }),
      );
      try {
        assert.equal(client.getNegotiatedProtocolVersion(), revision);
        await use(client, toolsChanged);
      } finally {
        await client.close();
      }
      console.log(`all well over ${way}, revision ${revision}`);
    }
  }
} finally {
  const exited = once(child, "exit");
  child.kill();
  await exited;
}
