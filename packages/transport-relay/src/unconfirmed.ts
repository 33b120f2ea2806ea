/** Handshakes that were answered and not confirmed yet: a bounded number, in which no route holds out the others. */

const maxUnconfirmed = 64;

interface Waiting {
  readonly route: string;
  giveUp(): void;
}

/** The handshakes that wait for their confirmation. */
export interface Unconfirmed {
  /** Adds one of `route`. If it is one too many, the oldest of the route that holds the most gives up. Returns how to take it out. */
  add(route: string, giveUp: () => void): () => void;
}

/** Nothing waits. */
export function createUnconfirmed(): Unconfirmed {
  // A Set keeps the order of adding.
  const waiting = new Set<Waiting>();

  function busiestRoute(): string | undefined {
    const counts = new Map<string, number>();
    let busiest: string | undefined;
    for (const { route } of waiting) {
      counts.set(route, (counts.get(route) ?? 0) + 1);
      if (busiest === undefined || counts.get(route)! > counts.get(busiest)!) busiest = route;
    }
    return busiest;
  }

  return {
    add(route, giveUp) {
      const one: Waiting = { route, giveUp };
      waiting.add(one);
      if (waiting.size > maxUnconfirmed) {
        const busiest = busiestRoute();
        for (const other of waiting) {
          if (other.route !== busiest || other === one) continue;
          waiting.delete(other);
          other.giveUp();
          break;
        }
      }
      return () => void waiting.delete(one);
    },
  };
}
