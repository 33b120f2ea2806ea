/** Calls, counted by what has few values: no operator, no tool, and no name that somebody else can make up. */
import type { CallListener, CallOutcome, DeniedCall, ObservedCall } from "./call-events.js";
import { LatencyHistogram } from "./latency-histogram.js";

const maxCodes = 128;
/** Of all that this hub had since it began; it has at most 256 at once. */
const maxApps = 1024;
/** Of one family. */
const maxSeries = 4096;
const other = "other";

const methods: ReadonlySet<string> = new Set([
  "completion/complete",
  "logging/setLevel",
  "ping",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/subscribe",
  "resources/templates/list",
  "resources/unsubscribe",
  "server/discover",
  "subscriptions/listen",
  "tasks/cancel",
  "tasks/get",
  "tasks/list",
  "tasks/result",
  "tasks/update",
  "tools/call",
  "tools/list",
]);

const ruleKinds: ReadonlySet<string> = new Set([
  "consent",
  "default-deny",
  "deny",
  "envelope",
  "evaluation-error",
  "idempotency",
  "local-only",
  "policy-error",
  "revocation",
  "scope",
]);

/** Where somebody was refused: at the HTTP port, when joining, at a handshake, as a peer that asks too much. */
export type RefusedAt = "http" | "join" | "handshake" | "peer";

/** A number under some labels. */
export interface Counted {
  readonly labels: Readonly<Record<string, string>>;
  count: number;
}

/** See the module header. */
export class CallTally implements CallListener {
  readonly inFlight = { agent: 0, peer: 0 };
  readonly calls = new Map<string, Counted>();
  readonly durations = new Map<string, { readonly labels: Counted["labels"]; readonly histogram: LatencyHistogram }>();
  readonly appCalls = new Map<string, Counted>();
  readonly appSeconds = new Map<string, Counted>();
  readonly denials = new Map<string, Counted>();
  readonly refusals = new Map<string, Counted>();
  readonly #codes = new Set<string>();
  readonly #selfId: string;
  readonly #isApp: (app: string) => boolean;

  /** `isApp`: whether this hub has an app of that name; asked once for each that it has. */
  constructor(selfId: string, isApp: (app: string) => boolean) {
    this.#selfId = selfId;
    this.#isApp = isApp;
  }

  started({ side }: ObservedCall): void {
    this.inFlight[side]++;
  }

  ended(call: ObservedCall, { code, durationMs }: CallOutcome): void {
    const { side, app } = call;
    this.inFlight[side]--;
    const path = call.path ?? "none";
    const method = methods.has(call.method) ? call.method : other;
    const outcome = this.#boundedCode(code);
    add(this.calls, `${side} ${path} ${method} ${outcome}`, () => ({ side, path, method, code: outcome }));
    if (method !== "subscriptions/listen") this.#histogram(side, path).observe(durationMs / 1000);
    if (call.hub !== this.#selfId || !this.#counts(app)) return;
    add(this.appSeconds, app, () => ({ app }), durationMs / 1000);
    add(this.appCalls, `${app} ${outcome}`, () => ({ app, code: outcome }));
  }

  denied({ rule }: DeniedCall): void {
    const kind = ruleKind(rule);
    add(this.denials, kind, () => ({ rule: kind }));
  }

  refuse(at: RefusedAt, code: string): void {
    const bounded = this.#boundedCode(code);
    add(this.refusals, `${at} ${bounded}`, () => ({ at, code: bounded }));
  }

  #counts(app: string): boolean {
    return this.appSeconds.has(app) || (this.appSeconds.size < maxApps && this.#isApp(app));
  }

  /** An app's code, or a peer's, is whatever they say. */
  #boundedCode(code: string): string {
    if (this.#codes.has(code)) return code;
    if (this.#codes.size >= maxCodes || !/^[A-Za-z][A-Za-z0-9_]{0,47}$/.test(code)) return other;
    this.#codes.add(code);
    return code;
  }

  #histogram(side: string, path: string): LatencyHistogram {
    const key = `${side} ${path}`;
    let found = this.durations.get(key);
    if (!found) {
      found = { labels: { side, path }, histogram: new LatencyHistogram() };
      this.durations.set(key, found);
    }
    return found.histogram;
  }
}

/** A rule's name without the app and the entry that it names: `notes: deny[3]` is of the kind `deny`. */
function ruleKind(rule: string): string {
  const [first = "", second = ""] = rule.split(": ");
  const kind = ruleKinds.has(first) ? first : second.replace(/\[.*$/, "");
  return ruleKinds.has(kind) ? kind : other;
}

function add(counts: Map<string, Counted>, key: string, labels: () => Counted["labels"], count = 1): void {
  const known = counts.get(key);
  if (known) known.count += count;
  else if (counts.size < maxSeries) counts.set(key, { labels: labels(), count });
}
