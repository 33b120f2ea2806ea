/** Opens a hub from its state directory: identity, store, audit log, and whatever else outlives it. */
import { createFileSegmentStore } from "@fed/audit-chain/node";
import { systemClock } from "@fed/core";
import { openAuditTrail } from "./audit-trail.js";
import type { Hub } from "./contract.js";
import { Opened } from "./opened.js";
import type { HubOptions, Logger } from "./options.js";
import { type HubParts, RunningHub } from "./running-hub.js";
import { openSeal } from "./seal.js";
import { openIdentity } from "./state/identity.js";
import { removeRunFile } from "./state/run-file.js";
import { openSqliteStore } from "./state/sqlite-store.js";
import { openStateDirectory } from "./state/state-directory.js";
import { openUsedKeys } from "./state/used-keys.js";

const silent: Logger = { info() {}, warn() {} };

/**
 * Opens the hub in `options.dir`. Federation is off until it is in a cluster and `lan` or `relays` say how.
 * @throws {HubError} STATE_MISSING, STATE_LOCKED, STATE_UNWRITABLE, STATE_CORRUPT, APP_CONFIG_INVALID, HTTP_PORT_IN_USE.
 */
export async function createHub(options: HubOptions): Promise<Hub> {
  const directory = openStateDirectory(options.dir, { create: options.name !== undefined });
  directory.lock();
  const opened = new Opened();
  opened.defer(() => directory.unlock());
  try {
    // What a hub that was killed left behind; now that the lock is ours, nobody listens there.
    removeRunFile(directory);
    const store = opened.use(openSqliteStore(directory.file("hub.sqlite")));
    const identity = await openIdentity(directory, store, options.name);
    const clock = options.clock ?? systemClock;
    const log = options.log ?? silent;
    const audit = opened.use(
      await openAuditTrail({
        segments: createFileSegmentStore(directory.file("audit")),
        key: identity.auditKey,
        store,
        clock,
        onError: (error) => log.warn({ error }, "an audit record could not be written"),
      }),
    );
    const seal = await openSeal(store);
    const usedKeys = await openUsedKeys(store, clock);
    const parts: HubParts = { options, directory, store, seal, usedKeys, identity, audit, clock, log, opened };
    const hub = new RunningHub(parts);
    opened.use(hub.appHost);
    opened.defer(() => hub.disconnect());
    await hub.open();
    return hub;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}
