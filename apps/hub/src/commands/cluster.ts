/** `fed cluster`, `invite`, `join`, `peers`, `path`. */
import { resolve } from "node:path";
import type { ClusterStatus, Hub, Peer } from "@fed/hub";
import type { Command } from "commander";
import { onHub, request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { ago, parseDuration, print, table } from "../output.js";

type Paths = ReturnType<Hub["cluster"]["paths"]>;
type PathHistory = ReturnType<Hub["cluster"]["pathHistory"]>;

/** Adds the commands. */
export function addClusterCommands(program: Command, globals: () => Globals): void {
  const cluster = program
    .command("cluster")
    .description("found a cluster, look at it, take its public documents along");

  cluster
    .command("create <name>")
    .description("found a cluster; this hub becomes its first member and its authority")
    .action(async (name: string) => {
      const { dir, json } = globals();
      const status = await onHub(
        dir,
        (run) => request<ClusterStatus>(run, "POST", "/cluster", { name }),
        async (hub) => {
          await hub.cluster.create({ name });
          return hub.cluster.status();
        },
      );
      print(json, status, (made) => [
        `Cluster ${made.name} is founded: ${made.clusterId}`,
        `A relay for it must admit ${made.relayAdmissionKey}`,
        "Let others in with `fed invite`.",
      ]);
    });

  cluster
    .command("status")
    .description("manifest version, members, expiry")
    .action(async () => {
      const { dir, json } = globals();
      const status = await onHub(
        dir,
        (run) => request<ClusterStatus>(run, "GET", "/status"),
        async (hub) => hub.cluster.status(),
      );
      print(json, status, showStatus);
    });

  cluster
    .command("export <directory>")
    .description("write ca.pem, leaf.pem and manifest.json for foreign tools; never a private key")
    .action(async (directory: string) => {
      const { dir, json } = globals();
      const target = resolve(directory);
      const files = await onHub(
        dir,
        (run) => request<string[]>(run, "POST", "/cluster/export", { directory: target }),
        async (hub) => hub.cluster.exportPublic(target),
      );
      print(json, files, (written) => written);
    });

  program
    .command("invite")
    .description("a single-use pairing token for one hub")
    .option("--ttl <duration>", "how long it is good", "10m")
    .option("--role <role...>", "roles that the hub gets")
    .action(async ({ ttl, role }: { ttl: string; role?: string[] }) => {
      const { dir, json } = globals();
      const wanted = { ttlMs: parseDuration(ttl), roles: role };
      const run = await requireRunning(dir);
      const made = await request<{ token: string; expiresInMs: number }>(
        run,
        "POST",
        "/generate-pairing-token",
        wanted,
      );
      print(json, made, ({ token, expiresInMs }) => [
        token,
        "",
        `Good for ${Math.round(expiresInMs / 60_000)} min and for one hub: fed join TOKEN`,
      ]);
    });

  program
    .command("join <token>")
    .description("join the cluster of the hub that made the token")
    .action(async (token: string) => {
      const { dir, json } = globals();
      const joined = await request<{ via: string; connected: boolean; cluster: ClusterStatus }>(
        await requireRunning(dir),
        "POST",
        "/pair",
        { token },
      );
      print(json, joined, ({ via, connected, cluster: { name, members } }) => [
        `Joined ${name} over the ${via === "lan" ? "LAN" : via}; it has ${members.length} members.`,
        connected
          ? "A first session as a member is up."
          : "No session as a member yet; see `fed peers` and `fed doctor`.",
      ]);
    });

  program
    .command("peers")
    .description("the other hubs: state, path, what they hold")
    .action(async () => {
      const { dir, json } = globals();
      const peers = await onHub(
        dir,
        (run) => request<Peer[]>(run, "GET", "/peers"),
        async (hub) => hub.cluster.peers(),
      );
      print(json, peers, showPeers);
    });

  program
    .command("path <hub>")
    .description("every way to a hub, which one calls take, and why; what became of them lately")
    .action(async (hub: string) => {
      const { dir, json } = globals();
      const running = await requireRunning(dir);
      const at = `/peers/${encodeURIComponent(hub)}/paths`;
      const paths = await request<Paths>(running, "GET", at);
      const history = await request<PathHistory>(running, "GET", `${at}/history`);
      print(json, { paths, history }, showPaths);
    });
}

function showPaths({ paths, history }: { readonly paths: Paths; readonly history: PathHistory }): string[] {
  const ways =
    paths.length === 0
      ? "No way to it is known: no transport that both hubs use has found it yet."
      : table([
          ["PATH", "STATE", "RTT", "WHY"],
          ...paths.map((way) => [`${way.best ? "*" : " "} ${way.transport}`, way.state, ms(way.rttMs), way.why]),
        ]);
  if (history.length === 0) return [ways];
  const events = history.map(({ atMs, transport, event, why }) => [
    new Date(atMs).toISOString(),
    transport,
    event,
    why,
  ]);
  return [ways, "", table([["WHEN", "PATH", "EVENT", "WHY"], ...events])];
}

function showStatus(status: ClusterStatus): string[] {
  const { authority, lan, relays, stopped } = status;
  return [
    ...(stopped ? [`STOPPED: ${stopped.message} (${stopped.code})`, `  → ${stopped.hint}`] : []),
    `${status.name}  ${status.clusterId}`,
    `manifest ${status.manifestVersion}, good until ${new Date(status.manifestExpiresAtMs).toISOString().slice(0, 10)}; this hub's leaf until ${new Date(status.leafExpiresAtMs).toISOString().slice(0, 10)}`,
    `authority ${authority.threshold} of ${authority.keys}${authority.held ? ", held here" : ""}; ${status.revocations} revocations`,
    `relay admission key ${status.relayAdmissionKey}`,
    ...(lan ? [`LAN ${lan.addresses.join(", ") || "not listening"}; discovery ${lan.discovery}`] : []),
    ...relays.map((relay) => `relay ${relay.url} ${relay.status}`),
    "",
    table([
      ["HUB", "ID", "ROLES"],
      ...status.members.map(({ name, hubId, roles }) => [name, hubId, roles.join(", ") || "-"]),
    ]),
  ];
}

function showPeers(peers: readonly Peer[]): string {
  if (peers.length === 0) return "No other hub is in this cluster.";
  return table([
    ["HUB", "STATE", "PATH", "RTT", "MANIFEST", "REVOCATIONS", "HEARD"],
    ...peers.map(({ name, state, path, rttMs, holds }) => [
      name,
      state,
      path ?? "none",
      ms(rttMs),
      String(holds?.manifest ?? "?"),
      String(holds?.revocations ?? "?"),
      holds ? ago(holds.atMs) : "-",
    ]),
  ]);
}

function ms(value: number | undefined): string {
  return value === undefined ? "-" : `${value.toFixed(1)} ms`;
}
