/** A hub in a process of its own: joins the cluster and shares its apps with it. */
import { createHub, type HubOptions } from "@fed/hub";
import { serveParent } from "./child.ts";
import { createEchoServer, echoCommand } from "./echo-app.ts";

/** What the parent hands over. */
export interface HubSetUp extends Pick<HubOptions, "dir" | "lan" | "relays"> {
  readonly name: string;
  /** Pairing token. */
  readonly token: string;
}

serveParent(async ({ token, ...options }: HubSetUp) => {
  const hub = await createHub({ ...options, apps: { echo: { server: createEchoServer }, "echo-stdio": echoCommand } });
  await hub.apps.settled();
  const joined = await hub.cluster.join(token);
  for (const app of ["echo", "echo-stdio"]) await hub.sharing.share(app, "cluster");
  return { ready: joined, close: () => hub.close() };
});
