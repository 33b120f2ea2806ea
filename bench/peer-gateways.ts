/** Other gateways from npm in front of the echo app, each in the form that is fastest. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { echoCommand } from "./echo-app.ts";
import { freePort, type GatewayProcess, startGateway } from "./gateway-process.ts";
import type { McpTarget } from "./mcp-target.ts";
import { installPackages } from "./peer-packages.ts";

const versions = { "mcp-hub": "4.2.1", "mcp-proxy": "6.7.19", supergateway: "4.0.0" } as const;

/** A gateway that runs, and how each revision it is measured with is called. */
export interface PeerGateway {
  readonly name: keyof typeof versions;
  readonly process: GatewayProcess;
  readonly targets: readonly McpTarget[];
}

/** Starts all of them, with state below `directory`. Ended by `opened`. */
export async function startPeerGateways(directory: string, opened: AsyncDisposableStack): Promise<PeerGateway[]> {
  const modules = await installPackages(versions);
  const { command, args } = echoCommand;
  const started = async (options: Parameters<typeof startGateway>[0]) => opened.use(await startGateway(options));

  // Without the store that lets a broken stream resume, which no call here needs and which costs a call about a millisecond.
  const proxyPort = await freePort();
  const proxy = await started({
    args: [
      join(modules, "mcp-proxy/dist/bin/mcp-proxy.mjs"),
      ...["--host", "127.0.0.1", "--port", `${proxyPort}`, "--server", "stream", "--no-eventStore"],
      ...["--", command, ...args],
    ],
    readyUrl: `http://127.0.0.1:${proxyPort}/ping`,
  });

  // Its stateless form starts the app anew for each call, so this is the one that is fast.
  const superPort = await freePort();
  const supergateway = await started({
    args: [
      join(modules, "supergateway/dist/index.js"),
      ...["--stdio", [command, ...args].join(" "), "--outputTransport", "streamableHttp", "--stateful"],
      ...["--port", `${superPort}`, "--healthEndpoint", "/healthz", "--logLevel", "none"],
    ],
    readyUrl: `http://127.0.0.1:${superPort}/healthz`,
  });

  const hubPort = await freePort();
  const config = join(directory, "mcp-hub.json");
  await writeFile(config, JSON.stringify({ mcpServers: { echo: { command, args } } }));
  const mcpHub = await started({
    args: [join(modules, "mcp-hub/dist/cli.js"), "--port", `${hubPort}`, "--config", config],
    readyUrl: `http://127.0.0.1:${hubPort}/api/health`,
    env: { HOME: directory, XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory, XDG_STATE_HOME: directory },
  });

  const proxyUrl = `http://127.0.0.1:${proxyPort}/mcp`;
  return [
    {
      name: "mcp-proxy",
      process: proxy,
      targets: [
        { url: proxyUrl, revision: "2026-07-28", tool: "echo" },
        { url: proxyUrl, revision: "2025-11-25", tool: "echo" },
      ],
    },
    {
      name: "supergateway",
      process: supergateway,
      targets: [{ url: `http://127.0.0.1:${superPort}/mcp`, revision: "2025-11-25", tool: "echo" }],
    },
    {
      name: "mcp-hub",
      process: mcpHub,
      targets: [{ url: `http://127.0.0.1:${hubPort}/mcp`, revision: "2024-11-05", tool: "echo__echo" }],
    },
  ];
}
