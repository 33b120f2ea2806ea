/** The relay on Cloudflare's workerd, beside a process that only starts it. */
import { startWorkerdRelay } from "../apps/relay/test/workerd.ts";
import { serveParent } from "./child.ts";
import type { RelaySetUp } from "./relay-process.ts";

serveParent(async ({ admissionKeys, limits }: RelaySetUp) => {
  const relay = await startWorkerdRelay({ admissionKeys, ...(limits && { limits }) });
  return { ready: { url: relay.url, pid: relay.pid }, close: () => relay.close() };
});
