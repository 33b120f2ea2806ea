/** A relay in a process of its own. */
import { startRelay } from "@fed/relay";
import { serveParent } from "./child.ts";

serveParent(async (admissionKey: string) => {
  const relay = await startRelay({ admissionKeys: [admissionKey] });
  return { ready: { url: relay.url }, close: () => relay.close() };
});
