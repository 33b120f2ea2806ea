/**
 * The owner's guard around the hub's own apps: it rates their tools, says which calls are to be asked about, and takes
 * secret fields out of results.
 */
import type { Clock, Json } from "@fed/core";
import type { AppContext, AppRequest, Caller, ConsentRequest, LocalApp, LocalApps, Risk } from "@fed/router";
import { isObject } from "../mcp/json-rpc.js";
import { redact } from "../redaction.js";
import { Continuations } from "./continuations.js";
import { redactResult } from "./result-redaction.js";
import { type SecretSchema, schemaOfPaths, withoutSecrets } from "./secret-fields.js";
import { ToolFactsTable } from "./tool-facts.js";
import type { ToolRuleBook } from "./tool-rule-book.js";
import type { ToolRule } from "./tool-rules.js";

/** A tool's risk, and by whose word. */
export interface RatedTool {
  readonly tool: string;
  readonly risk: Risk;
  readonly by: "app" | "owner";
  /** Whether its calls wait for the operator. */
  readonly asked: boolean;
}

/** What an operator is shown of a call's arguments, bytes of JSON. */
const shownBytes = 2048;
const maxPages = 32;
const learnMs = 10_000;
/** A tool that an app does not list is not looked for again for so long. */
const relearnMs = 30_000;
/** Requests that belong to a call which was allowed, or that change nothing. */
const followUps: ReadonlySet<string> = new Set(["logging/setLevel", "tasks/cancel", "tasks/update"]);
/** Their results are those of a tool that they do not name. */
const taskMethods: ReadonlySet<string> = new Set(["tasks/get", "tasks/list", "tasks/result"]);

/** See the module header. */
export class Guard implements LocalApps {
  readonly #apps: LocalApps;
  readonly #rules: ToolRuleBook;
  readonly #clock: Clock;
  readonly #facts = new ToolFactsTable();
  readonly #continuations: Continuations;
  /** By app. */
  readonly #learning = new Map<string, Promise<void>>();
  readonly #learnedAtMs = new Map<string, number>();

  constructor(options: { readonly apps: LocalApps; readonly rules: ToolRuleBook; readonly clock: Clock }) {
    this.#apps = options.apps;
    this.#rules = options.rules;
    this.#clock = options.clock;
    this.#continuations = new Continuations(options.clock);
  }

  list(): readonly LocalApp[] {
    return this.#apps.list();
  }

  async call(app: string, request: AppRequest, context: AppContext): Promise<unknown> {
    const tool = toolOf(request);
    if (tool !== undefined && !this.#facts.of(app, tool)) await this.learn(app, tool, context).catch(() => {});
    const result = await this.#apps.call(app, request, context);
    if (request.method === "tools/list") this.#facts.learn(app, result);
    const rule = this.#rules.ruleFor(app, tool);
    if (rule && isObject(result) && result.resultType === "input_required" && typeof result.requestState === "string") {
      const { operator } = context.caller;
      if (asks(rule, this.hints(app, tool ?? "").risk))
        this.#continuations.expect({ operator, app, ...request }, result.requestState);
    }
    return redactResult(result, this.#secretsOf(app, request.method, tool, rule));
  }

  /** The owner's rating, else what the app's own annotations say; absent for a tool that the app has not listed yet. */
  hints(app: string, tool: string): { readonly risk?: Risk | undefined } {
    return { risk: this.#rules.ruleFor(app, tool)?.risk ?? this.#facts.of(app, tool)?.risk };
  }

  async learn(app: string, _tool: string, { caller, signal }: AppContext): Promise<void> {
    const learnedAtMs = this.#learnedAtMs.get(app) ?? Number.NEGATIVE_INFINITY;
    if (this.#clock.monotonicMs() - learnedAtMs < relearnMs) return;
    await this.#list(app, caller, signal);
  }

  /** Whether a call waits for the operator. A risk that is not known counts as any. */
  asks({ app, method, params, tool, risk, caller }: ConsentRequest): boolean {
    const rule = this.#rules.ruleFor(app, tool);
    if (!rule || (tool === undefined && followUps.has(method)) || !asks(rule, risk)) return false;
    return !this.#continuations.take({ operator: caller.operator, app, method, params });
  }

  /** What an operator may see of a request: without secrets, at most 2 KiB. */
  shown({ app, method, params, tool }: ConsentRequest): Json {
    const {
      name: _name,
      arguments: args,
      _meta,
      requestState: _state,
      ...rest
    } = (params ?? {}) as Record<string, unknown>;
    const value = tool === undefined ? { method, ...rest } : (args ?? {});
    const facts = tool === undefined ? undefined : this.#facts.of(app, tool);
    const schemas = [facts?.input, ...redactedBy(this.#rules.ruleFor(app, tool))].filter((each) => each !== undefined);
    return redact(schemas.length > 0 ? withoutSecrets(value, schemas) : value, { maxBytes: shownBytes });
  }

  /** The tools of an app with their risk, asked of the app now. @throws {FedError} what the app answers. */
  async rated(app: string, caller: Caller, signal?: AbortSignal): Promise<RatedTool[]> {
    await this.#list(app, caller, signal);
    return [...this.#facts.all(app)].map(([tool, { risk: own }]) => {
      const rule = this.#rules.ruleFor(app, tool);
      const risk = rule?.risk ?? own;
      return { tool, risk, by: rule?.risk ? "owner" : "app", asked: rule !== undefined && asks(rule, risk) };
    });
  }

  /** Reads all tools of an app, once for however many want to know. */
  #list(app: string, caller: Caller, signal: AbortSignal | undefined): Promise<void> {
    const known = this.#learning.get(app);
    if (known) return known;
    const listing = this.#readTools(app, caller, signal).finally(() => {
      this.#learning.delete(app);
      this.#learnedAtMs.set(app, this.#clock.monotonicMs());
    });
    this.#learning.set(app, listing);
    return listing;
  }

  async #readTools(app: string, caller: Caller, outer: AbortSignal | undefined): Promise<void> {
    const timeout = AbortSignal.timeout(learnMs);
    const signal = outer ? AbortSignal.any([outer, timeout]) : timeout;
    const context = { caller, callId: "", signal, notify() {} };
    let cursor: unknown;
    for (let page = 0; page < maxPages; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const result = await this.#apps.call(app, { method: "tools/list", params }, context);
      this.#facts.learn(app, result);
      cursor = isObject(result) ? result.nextCursor : undefined;
      if (cursor === undefined) return;
    }
  }

  #secretsOf(app: string, method: string, tool: string | undefined, rule: ToolRule | undefined): SecretSchema[] {
    const listed = redactedBy(rule);
    if (tool !== undefined) {
      const marked = this.#facts.of(app, tool)?.output;
      return marked ? [marked, ...listed] : listed;
    }
    if (!taskMethods.has(method)) return listed;
    const marked = [...this.#facts.all(app)].flatMap(([, { output }]) => (output ? [output] : []));
    const { apps } = this.#rules.current;
    const rules = Object.hasOwn(apps, app) ? Object.values(apps[app]!) : [];
    return [...marked, ...rules.flatMap(redactedBy)];
  }
}

function asks(rule: ToolRule, risk: Risk | undefined): boolean {
  if (risk === "read") return false;
  return risk === undefined ? rule.write === "ask" || rule.execute === "ask" : rule[risk] === "ask";
}

function redactedBy(rule: ToolRule | undefined): SecretSchema[] {
  return rule?.redact ? [schemaOfPaths(rule.redact)] : [];
}

function toolOf({ method, params }: AppRequest): string | undefined {
  return method === "tools/call" ? String((params as { readonly name?: unknown }).name) : undefined;
}
