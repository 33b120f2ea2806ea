/** An app of 2025-11-25 with tasks, on the SDK before 2: `slow` ends by itself, `never` does not. */
import { InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const server = new Server(
  { name: "task-app", version: "1.0.0" },
  {
    capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
    taskStore: new InMemoryTaskStore(),
  },
);
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: ["slow", "never"].map((name) => ({
    name,
    inputSchema: { type: "object" as const },
    execution: { taskSupport: "required" as const },
  })),
}));
server.setRequestHandler(CallToolRequestSchema, async ({ params }, { taskStore, taskRequestedTtl }) => {
  if (!taskStore) throw new Error("no tasks");
  const task = await taskStore.createTask({ ttl: taskRequestedTtl ?? 60_000, pollInterval: 20 });
  const text = `${params.name} ${params.arguments?.label}`;
  if (params.name === "slow") {
    setTimeout(() => {
      void taskStore.storeTaskResult(task.taskId, "completed", { content: [{ type: "text", text }] });
    }, 20);
  }
  return { task };
});
await server.connect(new StdioServerTransport());
