/** Which hubs there are, by id and by name. */
import type { FedError, HubId } from "@fed/core";
import { RouterError } from "./errors.js";
import type { PeerPaths } from "./peer-paths.js";
import type { Member } from "./ports.js";

/** One other hub, as `fed peers` shows it. */
export interface PeerStatus {
  readonly hubId: HubId;
  readonly name: string;
  readonly member: boolean;
  /** The transport that calls take now; undefined when it is not reachable. */
  readonly path: string | undefined;
  readonly rttMs: number | undefined;
  /** Why it is cut off. */
  readonly cut: FedError | undefined;
}

/** The cluster's members, and peers that are connected without being one. */
export class Directory {
  readonly #self: { readonly hubId: HubId; readonly name: string };
  readonly #paths: PeerPaths;
  readonly #members = new Map<HubId, string>();
  readonly #names = new Map<string, HubId>();

  constructor(self: { readonly hubId: HubId; readonly name: string }, paths: PeerPaths) {
    this.#self = self;
    this.#paths = paths;
  }

  setMembers(members: readonly Member[]): void {
    this.#members.clear();
    this.#names.clear();
    for (const { hubId, name } of members) {
      if (hubId === this.#self.hubId) continue;
      this.#members.set(hubId, name);
      this.#names.set(name, hubId);
    }
  }

  /** An id before a name, so that no name can shadow a hub. @throws {RouterError} HUB_UNKNOWN. */
  resolve(hub: string): HubId {
    const self = this.#self;
    if (hub === self.hubId || this.#members.has(hub)) return hub;
    if (this.#paths.best(hub) || this.#paths.cutError(hub)) return hub;
    if (hub === self.name) return self.hubId;
    const hubId = this.#names.get(hub);
    if (hubId !== undefined) return hubId;
    throw new RouterError({
      code: "HUB_UNKNOWN",
      message: "No hub of this cluster has that id or name.",
      hint: "List the hubs: fed peers",
    });
  }

  /** The member's name, or the id itself. */
  nameOf(hubId: HubId): string {
    return this.#members.get(hubId) ?? hubId;
  }

  /** Everybody but this hub. */
  hubs(): { readonly hubId: HubId; readonly name: string }[] {
    const names = new Map(this.#paths.peers().map(({ hubId, name }) => [hubId, name]));
    for (const [hubId, name] of this.#members) names.set(hubId, name);
    return [...names].map(([hubId, name]) => ({ hubId, name }));
  }

  /** The same, by name, with how they are reached. */
  peers(): PeerStatus[] {
    return this.hubs()
      .map(({ hubId, name }) => {
        const best = this.#paths.best(hubId);
        return {
          hubId,
          name,
          member: this.#members.has(hubId),
          path: best?.transport,
          rttMs: best?.rttMs,
          cut: this.#paths.cutError(hubId),
        };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
