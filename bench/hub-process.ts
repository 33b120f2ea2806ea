/** A hub in a process of its own: founds a cluster or joins one, shares its apps with it, serves agents over HTTP if told so. */
import { createHub, type HubOptions } from "@fed/hub";
import { serveParent } from "./child.ts";
import { createEchoServer, echoCommand } from "./echo-app.ts";

/** What the parent hands over. */
export interface HubSetUp extends Pick<HubOptions, "dir" | "lan" | "relays" | "http"> {
  readonly name: string;
  /** Pairing token; absent: the hub founds a cluster and hands one out. */
  readonly token?: string;
}

/** What the parent is told. */
export interface HubReady {
  /** Where agents reach it, and what they show there. */
  readonly url: string | undefined;
  readonly operatorToken: string;
  /** Pairing token, where the hub founded the cluster. */
  readonly invitation: string | undefined;
  /** Where it listens on the LAN. */
  readonly addresses: readonly string[];
}

serveParent(async ({ token, ...options }: HubSetUp) => {
  const hub = await createHub({ ...options, apps: { echo: { server: createEchoServer }, "echo-stdio": echoCommand } });
  await hub.apps.settled();
  if (token === undefined) await hub.cluster.create({ name: "bench" });
  else await hub.cluster.join(token);
  for (const app of ["echo", "echo-stdio"]) await hub.sharing.share(app, "cluster");
  const ready: HubReady = {
    url: hub.url,
    operatorToken: (await hub.operators.issueToken({ name: "bench", scope: "ReadWrite" })).token,
    invitation: token === undefined ? await hub.cluster.invite() : undefined,
    addresses: hub.cluster.status().lan?.addresses ?? [],
  };
  return { ready, close: () => hub.close() };
});
