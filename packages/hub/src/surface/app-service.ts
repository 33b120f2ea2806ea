/** One app, wherever it is, as if the agent were connected to it: what the app says is passed on as it says it. */
import type { FleetBackend } from "./fleet-service.js";
import type { McpService } from "./mcp-service.js";
import type { ToldHeaders } from "./told-headers.js";
import { toolFailure } from "./tool-failure.js";

/** The service behind `/apps/<hub>/<app>/mcp`. */
export function createAppService(
  backend: FleetBackend,
  target: { readonly hub: string; readonly app: string },
  told: ToldHeaders,
): McpService {
  const name = JSON.stringify([target.hub, target.app]);
  return {
    headersOf: (tool) => told.of(name, tool),
    async request(method, params, options) {
      try {
        const result = (await backend.request({ ...target, method, params }, options)) as Record<string, unknown>;
        if (method === "tools/list") told.learn(name, result);
        return result;
      } catch (cause) {
        if (method !== "tools/call") throw cause;
        return toolFailure(cause, target);
      }
    },
  };
}
