/** What `mcp` measures: the echo tool served by the SDK alone, behind a hub, on a hub beside it, and behind other gateways. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LanOptions } from "@fed/hub";
import { startChild } from "./child.ts";
import type { HubReady, HubSetUp } from "./hub-process.ts";
import type { McpTarget } from "./mcp-target.ts";
import { startPeerGateways } from "./peer-gateways.ts";

const loopback: LanOptions = { listen: { host: "127.0.0.1", port: 0 }, discovery: false };
const waitMs = 20_000;
const bothRevisions = ["2026-07-28", "2025-11-25"] as const;

/** One way to the tool. */
export interface McpSubject {
  readonly name: string;
  readonly target: McpTarget;
  /** The process that is asked, and whose cost is told. */
  readonly pid: number;
  readonly kind: "limit" | "direct" | "ours" | "peer";
  /** What may be added to the median of the SDK alone. */
  readonly maxAddedMs?: number;
  /** Whether the app is the same child process that the peers have. */
  readonly likePeers?: boolean;
  /** Whether its rate must be near that of the SDK alone. */
  readonly keepsRate?: boolean;
}

/** Starts everything, with state below `directory`. Ended by `opened`. */
export async function openMcpSubjects(directory: string, opened: AsyncDisposableStack): Promise<McpSubject[]> {
  const plain = opened.use(await startChild<{ url: string }>("./plain-server-process.ts", {}));
  const sdk = opened.use(await startChild<{ url: string }>("./sdk-server-process.ts", {}));
  const hub = await startHubs(directory, opened);
  const peers = await startPeerGateways(directory, opened);

  const limit: McpSubject = {
    name: "node:http alone",
    kind: "limit",
    pid: plain.pid,
    target: { url: plain.ready.url, revision: "2026-07-28", tool: "echo" },
  };
  const direct = bothRevisions.map(
    (revision): McpSubject => ({
      name: directName(revision),
      kind: "direct",
      pid: sdk.pid,
      target: { url: sdk.ready.url, revision, tool: "echo" },
    }),
  );
  const ours = (["here", "beside"] as const).flatMap((at) =>
    (["echo", "echo-stdio"] as const).flatMap((app) =>
      bothRevisions.flatMap((revision) => oursAt(hub, { at, app, revision })),
    ),
  );
  const others = peers.flatMap(({ name, process, targets }) =>
    targets.map(
      (target): McpSubject => ({ name: `${name}, ${target.revision}`, kind: "peer", pid: process.pid, target }),
    ),
  );
  const served = await Promise.all(ours.map(({ target }) => isServed(target)));
  return [limit, ...direct, ...ours.filter((_, i) => served[i]), ...others];
}

/** Whether there is anything at its address. */
async function isServed({ url, token }: McpTarget): Promise<boolean> {
  const answer = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: "{}" });
  return answer.status !== 404;
}

/** The row that a row of this revision is measured against. HTTP+SSE is measured against the next older one. */
export function directName(revision: McpTarget["revision"]): string {
  return `SDK alone, ${revision === "2026-07-28" ? revision : "2025-11-25"}`;
}

interface RunningHub {
  readonly pid: number;
  readonly url: string;
  readonly operatorToken: string;
}

function oursAt(
  { pid, url, operatorToken }: RunningHub,
  {
    at,
    app,
    revision,
  }: {
    readonly at: "here" | "beside";
    readonly app: "echo" | "echo-stdio";
    readonly revision: (typeof bothRevisions)[number];
  },
): McpSubject[] {
  const where = `${at === "here" ? "local" : "LAN"}${app === "echo-stdio" ? ", stdio" : ""}, ${revision}`;
  const common = {
    kind: "ours",
    pid,
    maxAddedMs: at === "here" ? 0.5 : 1.5,
    keepsRate: at === "here",
    likePeers: at === "here" && app === "echo-stdio",
  } as const;
  const target = { revision, token: operatorToken, tool: "echo" };
  return [
    {
      ...common,
      name: `app.call, ${where}`,
      target: { ...target, url: `${url}/mcp`, through: { hub: at, app } },
    },
    { ...common, name: `endpoint, ${where}`, target: { ...target, url: `${url}/apps/${at}/${app}/mcp` } },
  ];
}

/** A hub that serves agents, with another beside it on the LAN. */
async function startHubs(directory: string, opened: AsyncDisposableStack): Promise<RunningHub> {
  const started = async (setUp: Omit<HubSetUp, "dir" | "relays">) =>
    opened.use(
      await startChild<HubReady>("./hub-process.ts", {
        ...setUp,
        dir: join(directory, setUp.name),
        relays: false,
      } satisfies HubSetUp),
    );
  const here = await started({ name: "here", lan: loopback, http: { host: "127.0.0.1", port: 0 } });
  const { url, operatorToken, invitation, addresses } = here.ready;
  await started({ name: "beside", lan: { ...loopback, peers: addresses }, token: invitation! });
  const headers = { authorization: `Bearer ${operatorToken}` };
  for (const deadlineMs = performance.now() + waitMs; ; await pause(20)) {
    const peers = (await (await fetch(`${url}/api/federation/peers`, { headers })).json()) as { path?: string }[];
    if (peers[0]?.path === "lan") return { pid: here.pid, url: url!, operatorToken };
    if (performance.now() > deadlineMs) throw new Error(`After ${waitMs / 1000} s the hubs did not find each other.`);
  }
}
