/** Where peers may be, and when to try again: full-jitter backoff, one dial per address, few at once. */
import {
  type Candidate,
  type Clock,
  type FedError,
  type HubId,
  type Timer,
  type Transport,
  toFedError,
} from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Member } from "./ports.js";

/** One address of one transport. */
export interface Target {
  readonly transport: Transport;
  readonly address: string;
  /** Whom the handshake must prove; undefined where only the handshake tells. */
  expect: HubId | undefined;
  /** Who answered last, or, before anybody has, who ought to. */
  hubId: HubId | undefined;
  /** Who has proved to be there, since this process began. */
  proved: HubId | undefined;
  /** Given by the manifest or by the operator. */
  member: boolean;
  /** Seen by discovery. */
  seen: boolean;
  state: "idle" | "waiting" | "queued" | "dialling" | "connected";
  failures: number;
  error: FedError | undefined;
  /** Wall clock. */
  sinceMs: number;
  /** Wall clock; while waiting. */
  nextAtMs: number | undefined;
  lastTryMs: number;
  timer: Timer | undefined;
}

/** What a dialler is handed. */
export interface DiallerOptions {
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Whether a session to this target is wanted now. */
  wanted(target: Target): boolean;
  /** Whether there is a path to the hub now, over whichever transport. */
  reached(hubId: HubId): boolean;
  /** A dial of the hub is over, or will not be. */
  tried(hubId: HubId): void;
  /** Dials and opens the session; resolves with who answered. */
  connect(target: Target, signal: AbortSignal): Promise<HubId>;
}

/** Keeps trying every address that is wanted. */
export class Dialler {
  readonly #options: DiallerOptions;
  readonly #targets = new Map<string, Target>();
  readonly #queue = new Set<Target>();
  /** Queued addresses that nothing but discovery, which anybody can feed, speaks for. */
  readonly #strangers = new Set<Target>();
  readonly #closing = new AbortController();
  /** Dials under way, by transport. */
  readonly #dialling = new Map<string, number>();
  #strangersDialling = 0;
  #discovered = 0;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /** Everything known about where `hubId` may be. */
  of(hubId: HubId): Target[] {
    return [...this.#targets.values()].filter((target) => target.hubId === hubId);
  }

  /** Whether an address is tried now, or next, that membership or the operator gives, or where `hubId` has been before. */
  dials(hubId: HubId): boolean {
    return this.of(hubId).some(
      ({ state, member, proved }) => (state === "dialling" || state === "queued") && (member || proved === hubId),
    );
  }

  /** Replaces the addresses that membership gives. */
  setMembers(members: readonly Member[], transports: ReadonlyMap<string, Transport>): void {
    const gone = new Set([...this.#targets.values()].filter((target) => target.member));
    for (const { hubId, addresses } of members) {
      for (const { transport: name, address } of addresses.slice(0, limits.addressesPerMember)) {
        const transport = transports.get(name);
        if (!transport) continue;
        const target = this.#target(transport, address);
        gone.delete(target);
        target.member = true;
        if (target.expect !== hubId) {
          target.expect = hubId;
          target.hubId = hubId;
        }
        if (target.state === "idle" || this.#strangers.delete(target)) this.#enqueue(target);
      }
    }
    for (const target of gone) {
      target.member = false;
      this.#forgetIfGone(target);
    }
  }

  /** Discovery saw or lost an address. */
  offer(candidate: Candidate, transport: Transport): void {
    const known = this.#targets.get(keyOf(transport.name, candidate.address));
    if (!candidate.present) {
      if (!known?.seen) return;
      known.seen = false;
      this.#discovered--;
      this.#forgetIfGone(known);
      return;
    }
    if (!known?.seen && this.#discovered >= limits.discovered && !this.#makeRoom()) return;
    const target = known ?? this.#target(transport, candidate.address);
    if (!target.seen) this.#discovered++;
    target.seen = true;
    if (candidate.hubId !== undefined && !target.member) {
      target.expect = candidate.hubId;
      target.hubId = candidate.hubId;
    }
    // Seen again is a reason to try before the backoff is over, but not more than once in 5 s.
    const { clock } = this.#options;
    const restMs = target.lastTryMs + limits.redialOnSightMs - clock.monotonicMs();
    if (target.state === "idle" || (target.state === "waiting" && restMs <= 0)) this.#enqueue(target);
    else if (target.nextAtMs !== undefined && target.nextAtMs > clock.nowMs() + restMs) this.#waitFor(target, restMs);
  }

  /** The session over `transport` to `hubId` is over. A healthy life forgives earlier failures. */
  lost(hubId: HubId, transport: string, healthy: boolean, error: FedError | undefined): void {
    for (const target of this.#targets.values()) {
      if (target.hubId !== hubId || target.transport.name !== transport) continue;
      if (target.state !== "connected" && target.state !== "idle") continue;
      target.failures = healthy ? 0 : target.failures + 1;
      target.error = error;
      this.#wait(target);
    }
  }

  /** Drops the timers of `hubId`; {@link wake} starts them again. */
  rest(hubId: HubId): void {
    for (const target of this.of(hubId)) {
      target.timer?.cancel();
      if (target.state !== "dialling") this.#become(target, "idle");
    }
  }

  /** Tries the idle addresses of `hubId` now. */
  wake(hubId: HubId): void {
    for (const target of this.of(hubId)) if (target.state === "idle") this.#enqueue(target);
  }

  close(): void {
    this.#closing.abort(new RouterError({ code: "ROUTER_CLOSED", message: "The router is closed." }));
    for (const target of this.#targets.values()) target.timer?.cancel();
    this.#targets.clear();
    this.#queue.clear();
    this.#strangers.clear();
  }

  #target(transport: Transport, address: string): Target {
    const key = keyOf(transport.name, address);
    let target = this.#targets.get(key);
    if (!target) {
      target = {
        transport,
        address,
        expect: undefined,
        hubId: undefined,
        proved: undefined,
        member: false,
        seen: false,
        state: "idle",
        failures: 0,
        error: undefined,
        sinceMs: this.#options.clock.nowMs(),
        nextAtMs: undefined,
        lastTryMs: Number.NEGATIVE_INFINITY,
        timer: undefined,
      };
      this.#targets.set(key, target);
    }
    return target;
  }

  /** Gives up the discovered address that failed most, so that a flood of false ones cannot keep a true one out. */
  #makeRoom(): boolean {
    let worst: Target | undefined;
    for (const target of this.#targets.values()) {
      if (target.seen && !target.member && target.state === "waiting" && target.failures > (worst?.failures ?? 0)) {
        worst = target;
      }
    }
    if (!worst) return false;
    worst.seen = false;
    this.#discovered--;
    this.#forgetIfGone(worst);
    return true;
  }

  #forgetIfGone(target: Target): void {
    if (target.member || target.seen) return;
    target.timer?.cancel();
    this.#queue.delete(target);
    this.#strangers.delete(target);
    this.#targets.delete(keyOf(target.transport.name, target.address));
    this.#tell(target);
  }

  #enqueue(target: Target): void {
    target.timer?.cancel();
    if (!this.#options.wanted(target)) {
      this.#become(target, "idle");
      return;
    }
    this.#become(target, "queued");
    if (isStranger(target)) this.#strangers.add(target);
    else this.#queue.add(target);
    this.#pump();
  }

  #pump(): void {
    for (;;) {
      const target = this.#takeNext(this.#queue) ?? this.#takeStranger();
      if (!target) return;
      if (target.state !== "queued" || !this.#has(target)) continue;
      const { name } = target.transport;
      const strange = isStranger(target) ? 1 : 0;
      this.#dialling.set(name, this.#underWay(name) + 1);
      this.#strangersDialling += strange;
      void this.#dial(target).finally(() => {
        this.#dialling.set(name, this.#underWay(name) - 1);
        this.#strangersDialling -= strange;
        this.#pump();
      });
    }
  }

  #underWay(transport: string): number {
    return this.#dialling.get(transport) ?? 0;
  }

  #takeStranger(): Target | undefined {
    return this.#strangersDialling < limits.strangersAtOnce ? this.#takeNext(this.#strangers) : undefined;
  }

  /** The one whose transport is free that has failed least, so that addresses where nobody is do not hold up the others. */
  #takeNext(queue: Set<Target>): Target | undefined {
    let best: Target | undefined;
    for (const target of queue) {
      if (this.#underWay(target.transport.name) >= limits.dialsAtOnce) continue;
      if (!best || target.failures < best.failures) best = target;
    }
    if (best) queue.delete(best);
    return best;
  }

  async #dial(target: Target): Promise<void> {
    this.#become(target, "dialling");
    target.lastTryMs = this.#options.clock.monotonicMs();
    const timeout = new AbortController();
    const timer = this.#options.clock.setTimer(limits.dialTimeoutMs, () =>
      timeout.abort(
        new RouterError({
          code: "HUB_UNREACHABLE",
          message: `Nobody answered within ${limits.dialTimeoutMs} ms.`,
          retryable: true,
        }),
      ),
    );
    try {
      const signal = AbortSignal.any([timeout.signal, this.#closing.signal]);
      target.hubId = target.proved = await this.#options.connect(target, signal);
      target.error = undefined;
      this.#become(target, "connected");
      // A session that is over already has told of its end before this address counted as connected.
      if (this.#options.wanted(target)) this.lost(target.hubId, target.transport.name, false, undefined);
    } catch (cause) {
      target.error = toFedError(cause);
      target.failures++;
      if (this.#has(target)) this.#wait(target);
    } finally {
      timer.cancel();
      this.#tell(target);
    }
  }

  #tell({ hubId }: Target): void {
    if (hubId !== undefined) this.#options.tried(hubId);
  }

  /** Full jitter: anything between nothing and the doubled limit, so that hubs do not dial in step. */
  #wait(target: Target): void {
    const { random, wanted, reached } = this.#options;
    if (this.#closing.signal.aborted) return;
    if (!wanted(target)) {
      this.#become(target, "idle");
      return;
    }
    // An address where the hub has never been would only cost dials, each few seconds for each member.
    const isReached = target.hubId !== undefined && target.proved === target.hubId && reached(target.hubId);
    const mostMs = isReached ? limits.backoffReachedMs : limits.backoffMaxMs;
    const limitMs = Math.min(mostMs, limits.backoffFirstMs * 2 ** Math.min(target.failures, 20));
    this.#waitFor(target, random() * limitMs);
  }

  #waitFor(target: Target, delayMs: number): void {
    const { clock } = this.#options;
    target.timer?.cancel();
    this.#become(target, "waiting");
    target.nextAtMs = clock.nowMs() + delayMs;
    target.timer = clock.setTimer(delayMs, () => this.#enqueue(target));
  }

  #become(target: Target, state: Target["state"]): void {
    if (target.state !== state) target.sinceMs = this.#options.clock.nowMs();
    target.state = state;
    target.nextAtMs = undefined;
  }

  #has(target: Target): boolean {
    return this.#targets.get(keyOf(target.transport.name, target.address)) === target;
  }
}

function isStranger({ member, hubId }: Target): boolean {
  return !member && hubId === undefined;
}

function keyOf(transport: string, address: string): string {
  return `${transport} ${address}`;
}
