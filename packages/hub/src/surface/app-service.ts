/** One app, wherever it is, as if the agent were connected to it: what the app says is passed on as it says it. */
import type { FleetBackend } from "./fleet-service.js";
import type { McpService } from "./mcp-service.js";
import { toolFailure } from "./tool-failure.js";

/** The service behind `/apps/<hub>/<app>/mcp`. */
export function createAppService(
  backend: FleetBackend,
  target: { readonly hub: string; readonly app: string },
): McpService {
  return {
    async request(method, params, options) {
      try {
        return (await backend.request({ ...target, method, params }, options)) as Record<string, unknown>;
      } catch (cause) {
        if (method !== "tools/call") throw cause;
        return toolFailure(cause, target);
      }
    },
  };
}
