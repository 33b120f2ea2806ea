import { suiteAdmissionKeys, testRelayHost } from "./host-suite.js";
import { freePort, startNodeRelay } from "./node-relay.js";

const limits = { slowReaderMs: 3_000, admissionTimeoutMs: 2_000 };

testRelayHost("one Node process", async () => {
  const port = await freePort();
  const start = () => startNodeRelay({ admissionKeys: suiteAdmissionKeys, port, limits });
  let relay = await start();
  const again = async (signal: "SIGTERM" | "SIGKILL") => {
    await relay.end(signal);
    relay = await start();
  };
  return {
    slowReaderMs: limits.slowReaderMs,
    urls: [relay.url],
    pids: async () => [relay.pid],
    restart: () => again("SIGTERM"),
    kill: () => again("SIGKILL"),
    close: () => relay.end("SIGTERM"),
  };
});
