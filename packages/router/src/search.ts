/**
 * Searching what hubs showed: every word must be found, and a word counts most where it is a whole name, then at the
 * beginning of one, within one, in a title, in a description.
 */
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { ListedApp } from "./listing.js";

const weights = { name: 16, prefix: 8, inName: 4, title: 2, description: 1, context: 1 } as const;

interface Fields {
  readonly name: string;
  readonly title: string;
  readonly description: string;
}

interface AppFields extends Fields {
  readonly tools: readonly Fields[];
}

/** One hub's listing in lower case. */
export class SearchText {
  readonly apps: readonly AppFields[];

  constructor(apps: readonly ListedApp[]) {
    this.apps = apps.map((entry) => ({
      ...fieldsOf({ ...entry, name: entry.app }),
      tools: (entry.tools ?? []).map(fieldsOf),
    }));
  }
}

/** The words of a query, in lower case. @throws {RouterError} REQUEST_MALFORMED unless 1..256 characters, 1..16 words. */
export function parseQuery(query: string): string[] {
  const words = [...new Set(query.toLowerCase().split(/\s+/u).filter(Boolean))];
  if (query.length > limits.queryChars || words.length < 1 || words.length > limits.queryWords) {
    throw new RouterError({
      code: "REQUEST_MALFORMED",
      message: `A query has 1 to ${limits.queryWords} words and at most ${limits.queryChars} characters.`,
      hint: "Name a few words of what you look for.",
    });
  }
  return words;
}

/** How well an app fits; 0 when a word is missing. */
export function scoreApp(words: readonly string[], hub: string, app: Fields): number {
  return score(words, app, hub);
}

/** How well a tool fits; 0 when a word is missing, or when only its app and hub have them: then the app is the answer. */
export function scoreTool(words: readonly string[], hub: string, app: Fields, tool: Fields): number {
  return score(words, tool, hub, app.name, app.title);
}

function score(words: readonly string[], fields: Fields, ...context: readonly string[]): number {
  let total = 0;
  let own = false;
  for (const word of words) {
    const weight = weightOf(word, fields);
    if (weight > 0) own = true;
    else if (!context.some((text) => text.includes(word))) return 0;
    total += weight || weights.context;
  }
  return own ? total : 0;
}

function weightOf(word: string, { name, title, description }: Fields): number {
  if (name === word) return weights.name;
  const at = name.indexOf(word);
  if (at >= 0) return at === 0 ? weights.prefix : weights.inName;
  if (title.includes(word)) return weights.title;
  return description.includes(word) ? weights.description : 0;
}

function fieldsOf({ name, title, description }: { name: string; title?: string; description?: string }): Fields {
  return {
    name: name.toLowerCase(),
    title: title?.toLowerCase() ?? "",
    description: description?.toLowerCase() ?? "",
  };
}
