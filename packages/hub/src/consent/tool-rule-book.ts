/** The owner's rules for tools, persisted before they are used. */
import { canonicalJson, parseJson, type Store } from "@fed/core";
import {
  changeToolRule,
  noToolRules,
  parseToolRules,
  ruleFor,
  type ToolRule,
  type ToolRuleChange,
  type ToolRules,
} from "./tool-rules.js";

const rulesKey = ["tool-rules"];
const maxBytes = 8 * 1024 * 1024;
/** Answers of {@link ruleFor} that are remembered until the next change. */
const maxRemembered = 4096;

/** See the module header. */
export interface ToolRuleBook {
  readonly current: ToolRules;
  /** Changes the rule for `tools` of `app`; durable once resolved. @throws {HubError} REQUEST_INVALID. */
  change(app: string, tools: string, change: ToolRuleChange): Promise<void>;
  /** What holds for one tool; undefined when there is no rule for the app. Costs one look-up then. */
  ruleFor(app: string, tool: string | undefined): ToolRule | undefined;
  /** How often the rules have changed. */
  version(): number;
}

/** Loads the rules kept in `store`. `onChange` follows every change. */
export async function openToolRuleBook(store: Store, onChange: () => void): Promise<ToolRuleBook> {
  const stored = await store.get(rulesKey);
  let current = stored ? parseToolRules(parseJson(stored, { maxBytes })) : noToolRules;
  /** By app, and by tool; `undefined` is a request of no tool. */
  let remembered = rememberedOf(current);
  let version = 0;
  /** One change after the other, each made of what the one before has left. */
  let turn: Promise<void> = Promise.resolve();

  return {
    get current() {
      return current;
    },
    change(app, tools, change) {
      const done = turn.then(async () => {
        const next = changeToolRule(current, app, tools, change);
        await store.set(rulesKey, canonicalJson(next));
        current = next;
        remembered = rememberedOf(next);
        version++;
        onChange();
      });
      turn = done.catch(() => {});
      return done;
    },
    ruleFor(app, tool) {
      const rules = remembered.get(app);
      if (!rules) return undefined;
      const known = rules.get(tool);
      if (known) return known;
      const rule = ruleFor(current, app, tool) ?? {};
      if (rules.size >= maxRemembered) rules.clear();
      rules.set(tool, rule);
      return rule;
    },
    version: () => version,
  };
}

function rememberedOf({ apps }: ToolRules): Map<string, Map<string | undefined, ToolRule>> {
  return new Map(Object.keys(apps).map((app) => [app, new Map()]));
}
