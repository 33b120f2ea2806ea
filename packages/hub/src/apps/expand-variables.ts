/** `${NAME}` and `${NAME:-default}` in an app's entry, from the hub's own environment, as MCP clients read them. */
import { inheritedEnvironment } from "./inherited-environment.js";

/** What {@link expandVariables} made. */
export interface Expanded {
  readonly value: unknown;
  /** Variables that are not set and have no default, each once, with where it stands. */
  readonly missing: readonly { readonly name: string; readonly where: string }[];
  /** What was put in, without what every app inherits anyway (`HOME`, `PATH`, `USER` …). */
  readonly used: readonly string[];
}

const variable = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/** `value` with the variables in all of its strings replaced; keys stay as they are. `where` begins the paths of what is missing. */
export function expandVariables(
  value: unknown,
  where: string,
  environment: Readonly<Record<string, string | undefined>>,
): Expanded {
  const missing: { name: string; where: string }[] = [];
  const used = new Set<string>();
  const inherited = inheritedEnvironment();
  const expand = (part: unknown, at: string): unknown => {
    if (typeof part === "string") {
      return part.replace(variable, (_whole, name: string, fallback: string | undefined) => {
        const found = environment[name];
        if (found !== undefined && (found !== "" || fallback === undefined)) {
          if (!(name in inherited)) used.add(found);
          return found;
        }
        if (fallback === undefined) missing.push({ name, where: at });
        return fallback ?? "";
      });
    }
    if (Array.isArray(part)) return part.map((item, index) => expand(item, `${at}.${index}`));
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, expand(item, `${at}.${key}`)]));
  };
  return { value: expand(value, where), missing, used: [...used] };
}
