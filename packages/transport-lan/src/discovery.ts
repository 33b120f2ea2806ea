import type { Candidate, Clock } from "@fed/core";
export interface DiscoveryOptions {
  x?: number;
}
export interface DiscoveryState {
  status: "off";
  interfaces: readonly string[];
}
export function createLanDiscovery(_o: DiscoveryOptions & { clock: Clock }) {
  return {
    advertise: (_e: { port: number; host: string }) => ({ async close() {} }),
    browse: (_c: (c: Candidate) => void) => ({ async close() {} }),
    state: (): DiscoveryState => ({ status: "off", interfaces: [] }),
  };
}
