/**
 * The owner's guard around the hub's own apps: it rates their tools, says which calls are to be asked about, and takes
 * secret fields out of results.
 */
import type { Clock, Json } from "@fed/core";
import type { AppContext, AppRequest, Caller, ConsentRequest, LocalApp, LocalApps, Risk } from "@fed/router";
import type { ToolDefinition } from "../apps/tool-list.js";
import { isObject } from "../mcp/json-rpc.js";
import { isGivenUp } from "../mcp/refusal.js";
import { redact } from "../redaction.js";
import { Continuations } from "./continuations.js";
import { redactResult } from "./result-redaction.js";
import { type SecretSchema, schemaOfPaths, withoutSecrets } from "./secret-fields.js";
import { factsOf, type ToolFacts } from "./tool-facts.js";
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

/** The hub's own apps, with what is known of their tools. */
export interface DefinedApps extends LocalApps {
  version(): number;
  /** A tool as its app defines it; the same object until the definition changes. */
  tool(app: string, tool: string): ToolDefinition | undefined;
  tools(app: string): readonly ToolDefinition[] | undefined;
  learn(app: string, tool: string, context: AppContext): Promise<void>;
}

/** What the owner has accepted of what tools say of themselves. */
export interface AcceptedTools {
  /** @throws {HubError} TOOL_CHANGED for a tool that is not called before it is accepted. */
  assertAccepted(app: string, tool: string): void;
  /** Whether the tool's definition is another than the accepted one. */
  isChanged(app: string, tool: string): boolean;
}

/** What an operator is shown of a call's arguments, bytes of JSON. */
const shownBytes = 2048;
/** Requests that belong to a call which was allowed, or that change nothing. */
const followUps: ReadonlySet<string> = new Set(["logging/setLevel", "tasks/cancel", "tasks/update"]);
/** Their results are those of a tool that they do not name. */
const taskMethods: ReadonlySet<string> = new Set(["tasks/get", "tasks/list", "tasks/result"]);

/** See the module header. */
export class Guard implements LocalApps {
  readonly #apps: DefinedApps;
  readonly #rules: ToolRuleBook;
  readonly #accepted: AcceptedTools;
  readonly #continuations: Continuations;

  constructor(options: {
    readonly apps: DefinedApps;
    readonly rules: ToolRuleBook;
    readonly accepted: AcceptedTools;
    readonly clock: Clock;
  }) {
    this.#apps = options.apps;
    this.#rules = options.rules;
    this.#accepted = options.accepted;
    this.#continuations = new Continuations(options.clock);
  }

  list(): readonly LocalApp[] {
    return this.#apps.list();
  }

  tools(app: string): readonly ToolDefinition[] | undefined {
    return this.#apps.tools(app);
  }

  /** Both only grow, so their sum is another one when either is. */
  version(): number {
    return this.#apps.version() + this.#rules.version();
  }

  learn(app: string, tool: string, context: AppContext): Promise<void> {
    return this.#apps.learn(app, tool, context);
  }

  /** The owner's rating, else what the app's own annotations say; absent for a tool that the app is not known to have. */
  hints(app: string, tool: string): { readonly risk?: Risk | undefined } {
    return { risk: this.#rules.ruleFor(app, tool)?.risk ?? this.#facts(app, tool)?.risk };
  }

  async call(app: string, request: AppRequest, context: AppContext): Promise<unknown> {
    const tool = toolOf(request);
    // What is secret in a result must be known before there is one.
    if (tool !== undefined && !this.#facts(app, tool)) await this.learn(app, tool, context).catch(() => {});
    const result = await this.#apps.call(app, request, context);
    const rule = this.#rules.ruleFor(app, tool);
    if (rule && isObject(result) && result.resultType === "input_required" && typeof result.requestState === "string") {
      const { operator } = context.caller;
      if (asks(rule, this.#known(this.hints(app, tool ?? "").risk, rule, app, tool)))
        this.#continuations.expect({ operator, app, ...request }, result.requestState);
    }
    return redactResult(result, this.#secretsOf(app, request.method, tool, rule));
  }

  /**
   * Whether a call waits for the operator. A risk that is not known counts as any; what an app says of a tool that it has
   * changed since it was accepted is not known.
   * @throws {HubError} TOOL_CHANGED for a tool that is not called before it is accepted, whoever calls.
   */
  asks({ app, method, params, tool, risk, caller }: ConsentRequest): boolean {
    // It runs nothing: it ends a call that was allowed.
    if (isObject(params) && isGivenUp(params)) return false;
    if (tool !== undefined) this.#accepted.assertAccepted(app, tool);
    const rule = this.#rules.ruleFor(app, tool);
    if (!rule || (tool === undefined && followUps.has(method)) || !asks(rule, this.#known(risk, rule, app, tool))) {
      return false;
    }
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
    return redact(withoutSecrets(value, this.secretInputs(app, tool)), { maxBytes: shownBytes });
  }

  /** Which arguments of a tool people are not shown: those that its app marks, and what the owner lists. */
  secretInputs(app: string, tool: string | undefined): SecretSchema[] {
    const input = tool === undefined ? undefined : this.#facts(app, tool)?.input;
    return [...(input ? [input] : []), ...redactedBy(this.#rules.ruleFor(app, tool))];
  }

  /** The tools of an app with their risk; it is started if it was never asked. @throws {FedError} why it did not start. */
  async rated(app: string, caller: Caller, signal: AbortSignal): Promise<RatedTool[]> {
    if (!this.#apps.tools(app)) await this.learn(app, "", { caller, callId: "", signal, notify() {} });
    return (this.#apps.tools(app) ?? []).map((definition) => {
      const rule = this.#rules.ruleFor(app, definition.name);
      const risk = rule?.risk ?? factsOf(definition).risk;
      const asked = rule !== undefined && asks(rule, this.#known(risk, rule, app, definition.name));
      return { tool: definition.name, risk, by: rule?.risk ? "owner" : "app", asked };
    });
  }

  /** `risk`, unless it is the word of an app that says something else by now than what was accepted. */
  #known(risk: Risk | undefined, rule: ToolRule, app: string, tool: string | undefined): Risk | undefined {
    const isOwners = tool === undefined || rule.risk !== undefined;
    return isOwners || !this.#accepted.isChanged(app, tool) ? risk : undefined;
  }

  #facts(app: string, tool: string): ToolFacts | undefined {
    const definition = this.#apps.tool(app, tool);
    return definition && factsOf(definition);
  }

  #secretsOf(app: string, method: string, tool: string | undefined, rule: ToolRule | undefined): SecretSchema[] {
    const listed = redactedBy(rule);
    if (tool !== undefined) {
      const marked = this.#facts(app, tool)?.output;
      return marked ? [...listed, marked] : listed;
    }
    if (!taskMethods.has(method)) return listed;
    const marked = (this.#apps.tools(app) ?? []).flatMap((definition) => factsOf(definition).output ?? []);
    const { apps } = this.#rules.current;
    const rules = Object.hasOwn(apps, app) ? Object.values(apps[app]!) : [];
    return [...(marked as SecretSchema[]), ...rules.flatMap(redactedBy)];
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
