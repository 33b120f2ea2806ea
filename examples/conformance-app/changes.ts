/** A tool and a prompt whose definitions change, the tools that change them, and who hears of it. */
import type { McpRequestContext, McpServer } from "@modelcontextprotocol/server";
import { text } from "./content.ts";
import { type AppState, follow, watchedUri } from "./state.ts";

export function registerChanges(server: McpServer, state: AppState, { era, requestInfo }: McpRequestContext): void {
  const toolText = () => `Revision ${state.toolRevision} of this tool.`;
  const promptText = () => `Revision ${state.promptRevision} of this prompt.`;

  const tool = server.registerTool("test_changing_tool", { description: toolText() }, () => text(toolText()));
  const prompt = server.registerPrompt("test_changing_prompt", { description: promptText() }, () => ({
    messages: [{ role: "user", content: { type: "text", text: promptText() } }],
  }));
  server.registerTool("test_trigger_tool_change", { description: "Changes test_changing_tool." }, () => {
    state.changeTool();
    return text(`The tool is at revision ${state.toolRevision}.`);
  });
  server.registerTool("test_trigger_prompt_change", { description: "Changes test_changing_prompt." }, () => {
    state.changePrompt();
    return text(`The prompt is at revision ${state.promptRevision}.`);
  });

  // Revisions before 2026-07-28 subscribe to one resource at a time; later ones listen to a stream, which the SDK serves.
  const subscribed = new Set<string>();
  server.server.setRequestHandler("resources/subscribe", ({ params }) => {
    subscribed.add(params.uri);
    return {};
  });
  server.server.setRequestHandler("resources/unsubscribe", ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });

  // An instance for one HTTP request is gone before anything changes; there the handler serves those who listen.
  if (requestInfo) return;
  follow(server, state, (kind) => {
    // An update of a definition tells the client by itself.
    if (kind === "tools_list_changed") tool.update({ description: toolText() });
    else if (kind === "prompts_list_changed") prompt.update({ description: promptText() });
    else if (era === "modern" || subscribed.has(watchedUri))
      void server.server.sendResourceUpdated({ uri: watchedUri });
  });
}
