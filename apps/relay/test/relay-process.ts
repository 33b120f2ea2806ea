/** A Node relay as a process of its own: bundled here, started by {@link startNodeRelay}, ended by a signal. */
import { startRelay } from "../src/start-relay.js";

const relay = await startRelay(JSON.parse(process.argv[2]!));
process.stdout.write(`${relay.url} ${relay.port}\n`);
process.once("SIGTERM", () => void relay.close().then(() => process.exit()));
