/** Three hubs of one cluster: ours in this process, one beside it on the LAN, one that only a relay reaches. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createHub, type Hub, type LanOptions } from "@fed/hub";
import { type Child, startChild } from "./child.ts";
import { createEchoServer, echoCommand } from "./echo-app.ts";
import type { HubSetUp } from "./hub-process.ts";

const loopback: LanOptions = { listen: { host: "127.0.0.1", port: 0 }, discovery: false };
const waitMs = 20_000;

/** The fleet, connected. */
export interface Fleet extends AsyncDisposable {
  readonly hub: Hub;
  /** Reached over loopback TLS. */
  readonly lan: Child<unknown>;
  /** Reached through `relay`. */
  readonly far: Child<unknown>;
  readonly relay: Child<unknown>;
}

/** Starts it with state below `directory`. */
export async function startFleet(directory: string): Promise<Fleet> {
  await using opened = new AsyncDisposableStack();
  const dir = join(directory, "ours");
  const founded = await createHub({ dir, name: "ours", relays: false });
  await founded.cluster.create({ name: "bench" });
  const { relayAdmissionKey } = founded.cluster.status();
  await founded.close();
  const relay = opened.use(
    await startChild<{ url: string }>("./relay-process.ts", { admissionKeys: [relayAdmissionKey] }),
  );
  const relays = [relay.ready.url];
  const hub = opened.use(
    await createHub({
      dir,
      lan: loopback,
      relays,
      apps: { echo: { server: createEchoServer }, "echo-stdio": echoCommand },
    }),
  );
  await hub.apps.settled();
  await until(() => hub.cluster.status().relays[0]?.status === "up", "our hub is not at the relay");
  const started = async (setUp: Omit<HubSetUp, "dir" | "token">) =>
    opened.use(
      await startChild("./hub-process.ts", {
        ...setUp,
        dir: join(directory, setUp.name),
        token: await hub.cluster.invite(),
      } satisfies HubSetUp),
    );
  const peers = hub.cluster.status().lan!.addresses;
  const lan = await started({ name: "beside", lan: { ...loopback, peers }, relays: false });
  const far = await started({ name: "far", lan: false, relays });
  const pathTo = (name: string) => hub.cluster.peers().find((peer) => peer.name === name)?.path;
  await until(() => pathTo("beside") === "lan" && pathTo("far") === "relay", "the hubs did not find each other");
  const kept = opened.move();
  return { hub, lan, far, relay, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function until(holds: () => boolean, complaint: string): Promise<void> {
  for (const deadlineMs = performance.now() + waitMs; !holds(); await pause(20)) {
    if (performance.now() > deadlineMs) throw new Error(`After ${waitMs / 1000} s ${complaint}.`);
  }
}
