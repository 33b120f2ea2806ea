/** Refused handshakes in the audit log: the first of a kind at once, then one record a minute that counts the rest. */
import type { Clock, FedError } from "@fed/core";
import type { AuditEvent } from "./audit-trail.js";

const everyMs = 60_000;
/** Kinds remembered at once; beyond that they are counted together, so that strangers cannot fill the disk. */
const maxKinds = 256;

/** Writes down who was refused. */
export interface RefusalLog {
  add(from: string, error: FedError): void;
  /** Stops; what was counted since the last record is written. Idempotent. */
  close(): void;
}

/** See {@link RefusalLog}. `note` writes one record. */
export function createRefusalLog(note: (event: AuditEvent) => void, clock: Clock): RefusalLog {
  const counts = new Map<string, { readonly from: string; readonly code: string; more: number }>();
  let timer = clock.setTimer(everyMs, flush);

  function write(): void {
    for (const { from, code, more } of counts.values()) if (more > 0) note({ type: "peer.refused", from, code, more });
    counts.clear();
  }

  function flush(): void {
    write();
    timer = clock.setTimer(everyMs, flush);
  }

  return {
    add(from, { code }) {
      const place = placeOf(from);
      const own = `${place} ${code}`;
      const kind = counts.has(own) || counts.size < maxKinds ? own : "others";
      const known = counts.get(kind);
      if (known) {
        known.more++;
        return;
      }
      counts.set(kind, { from: kind === "others" ? kind : place, code, more: 0 });
      note({ type: "peer.refused", from: place, code });
    },
    close() {
      timer.cancel();
      write();
    },
  };
}

/** Where somebody came from, without what changes from one attempt to the next: the port, the route at a relay. */
function placeOf(from: string): string {
  return from.replace(/#.*$/, "").replace(/(?<=[\d\]a-z]):\d+$/, "");
}
