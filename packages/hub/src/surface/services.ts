/** Which service answers at which path of the hub's HTTP port. */
import { isAppName } from "@fed/core";
import { createAppService } from "./app-service.js";
import { createFleetService, type FleetBackend } from "./fleet-service.js";
import type { McpService } from "./mcp-service.js";
import { ToldHeaders } from "./told-headers.js";

const appPath = /^\/apps\/([^/]{1,192})\/([^/]{1,192})\/mcp$/;

/** `/mcp` is the fleet, `/apps/<hub>/<app>/mcp` one app of it; nothing else is an MCP endpoint. */
export function createServices(backend: FleetBackend): (path: string) => McpService | undefined {
  const fleet = createFleetService(backend);
  const told = new ToldHeaders();
  return (path) => {
    if (path === "/mcp") return fleet;
    const [, hub, app] = appPath.exec(path) ?? [];
    if (hub === undefined || app === undefined) return undefined;
    const target = { hub: decode(hub), app: decode(app) };
    return target.hub && target.app && isAppName(target.app)
      ? createAppService(backend, target as { hub: string; app: string }, told)
      : undefined;
  };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
