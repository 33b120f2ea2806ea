/** Refused handshakes and joins in the audit log: the first of a kind at once, then one record a minute that counts the rest. */
import type { Clock, FedError } from "@fed/core";
import type { AuditEvent } from "./audit-trail.js";

const everyMs = 60_000;
/** Kinds remembered at once; beyond that they are counted together, so that strangers cannot fill the disk. */
const maxKinds = 256;

/** Writes down who was refused. */
export interface RefusalLog {
  add(from: string, error: FedError, type?: "peer.refused" | "join.refused"): void;
  /** Stops; what was counted since the last record is written. Idempotent. */
  close(): void;
}

/** See {@link RefusalLog}. `note` writes one record. */
export function createRefusalLog(note: (event: AuditEvent) => void, clock: Clock): RefusalLog {
  const counts = new Map<string, { readonly event: AuditEvent; more: number }>();
  let timer = clock.setTimer(everyMs, flush);

  function write(): void {
    for (const { event, more } of counts.values()) if (more > 0) note({ ...event, more });
    counts.clear();
  }

  function flush(): void {
    write();
    timer = clock.setTimer(everyMs, flush);
  }

  return {
    add(from, { code }, type = "peer.refused") {
      const place = placeOf(from);
      const own = `${type} ${place} ${code}`;
      const kind = counts.has(own) || counts.size < maxKinds ? own : "others";
      const known = counts.get(kind);
      if (known) {
        known.more++;
        return;
      }
      counts.set(kind, { event: { type, from: kind === "others" ? kind : place, code }, more: 0 });
      note({ type, from: place, code });
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
