/** A relay in a process of its own. */
import { type StartRelayOptions, startRelay } from "@fed/relay";
import { serveParent } from "./child.ts";

/** What the parent hands over. */
export interface RelaySetUp extends Pick<StartRelayOptions, "limits"> {
  readonly admissionKeys: readonly string[];
}

serveParent(async (setUp: RelaySetUp) => {
  const relay = await startRelay(setUp);
  return { ready: { url: relay.url }, close: () => relay.close() };
});
