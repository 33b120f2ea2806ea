/** Resources: text, binary, by template, and one that changes and may be subscribed to. */
import { type McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import { redPixel, text } from "./content.ts";
import { type AppState, watchedUri } from "./state.ts";

export function registerResources(server: McpServer, state: AppState): void {
  server.registerResource(
    "static-text",
    "test://static-text",
    { description: "A text.", mimeType: "text/plain", cacheHint: { ttlMs: 60_000, cacheScope: "public" } },
    ({ href }) => ({
      contents: [{ uri: href, mimeType: "text/plain", text: "This is the content of the static text resource." }],
    }),
  );
  server.registerResource(
    "static-binary",
    "test://static-binary",
    { description: "An image.", mimeType: "image/png" },
    ({ href }) => ({ contents: [{ uri: href, mimeType: "image/png", blob: redPixel }] }),
  );
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", {
      list: undefined,
      complete: { id: (value) => ["1", "12", "123"].filter((id) => id.startsWith(value)) },
    }),
    { description: "Data by id.", mimeType: "application/json" },
    ({ href }, { id }) => ({
      contents: [
        {
          uri: href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );
  server.registerResource(
    "watched",
    watchedUri,
    { description: "Changes with test_trigger_resource_change.", mimeType: "text/plain" },
    ({ href }) => ({ contents: [{ uri: href, mimeType: "text/plain", text: `Revision ${state.resourceRevision}` }] }),
  );
  server.registerTool("test_trigger_resource_change", { description: `Changes ${watchedUri}.` }, () => {
    state.changeResource();
    return text(`The resource is at revision ${state.resourceRevision}.`);
  });
}
