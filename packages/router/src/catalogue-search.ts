/** A search through what the hubs have shown; no hub is asked for a search. */
import { type CatalogueEntry, entryOf, type HubsSeen, type HubView, type ShowOptions, seen } from "./catalogue-page.js";
import { formatCursor, pageLimit, parseCursor } from "./cursor.js";
import { limits } from "./limits.js";
import { compare, type ListedApp, type ToolSummary } from "./listing.js";
import { parseQuery, scoreApp, scoreTool } from "./search.js";

/** Options of a search. */
export interface SearchOptions extends ShowOptions {
  /** 1..200, default 50. */
  readonly limit?: number | undefined;
  /** Where the page before ended; of the same query. */
  readonly cursor?: string | undefined;
}

/** An app that fits, or a tool of one. */
export interface SearchHit extends Omit<CatalogueEntry, "tools" | "more"> {
  /** Absent: the app itself fits. */
  readonly tool?: ToolSummary;
}

/** One page of what was found, best first. */
export interface SearchPage {
  readonly hits: readonly SearchHit[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
  readonly hubs: HubsSeen;
}

interface Found {
  readonly score: number;
  readonly view: HubView;
  readonly app: ListedApp;
  readonly tool: ToolSummary | undefined;
}

/** What of `views`, which are in order, fits `query`. @throws {RouterError} REQUEST_MALFORMED. */
export function searchViews(views: readonly HubView[], query: string, options: SearchOptions): SearchPage {
  const words = parseQuery(query);
  const limit = pageLimit(options.limit, limits.pageHits);
  const kind = `search ${words.join(" ")}`;
  const { cursor } = options;
  const after =
    cursor === undefined ? undefined : parseCursor(kind, cursor, ["number", "string", "string", "string", "string"]);
  const found = best(words, views, limit + 1, options.visible, after);
  const hits = found.slice(0, limit);
  const last = found.length > limit ? hits.at(-1) : undefined;
  return {
    hits: hits.map(hitOf),
    ...(last && { nextCursor: formatCursor(kind, [last.score, ...keyOf(last)]) }),
    hubs: seen(views),
  };
}

/**
 * The first `count` that fit, best first, equals by hub, app and tool. They are met in that second order, so it is
 * enough to keep the first of each score.
 */
function best(
  words: readonly string[],
  views: readonly HubView[],
  count: number,
  visible: ShowOptions["visible"],
  after: readonly [number, string, string, string, string] | undefined,
): Found[] {
  const byScore = new Map<number, Found[]>();
  const offer = (found: Found) => {
    const { score, view, app, tool } = found;
    const equals = byScore.get(score) ?? [];
    if (equals.length >= count || (after && !isAfter(found, after))) return;
    if (visible && !visible({ hub: view.id, app: app.app, ...(tool && { tool: tool.name }) })) return;
    byScore.set(score, equals);
    equals.push(found);
  };
  for (const view of views) {
    if (!view.shown) continue;
    const hub = view.name.toLowerCase();
    for (const [index, fields] of view.shown.text.apps.entries()) {
      const app = view.shown.apps[index]!;
      const score = scoreApp(words, hub, fields);
      if (score > 0) offer({ score, view, app, tool: undefined });
      for (const [at, tool] of fields.tools.entries()) {
        const score = scoreTool(words, hub, fields, tool);
        if (score > 0) offer({ score, view, app, tool: app.tools![at]! });
      }
    }
  }
  const scores = [...byScore.keys()].sort((a, b) => b - a);
  return scores.flatMap((score) => byScore.get(score)!).slice(0, count);
}

function isAfter(found: Found, [score, ...key]: readonly [number, string, string, string, string]): boolean {
  if (found.score !== score) return found.score < score;
  const own = keyOf(found);
  for (const [index, part] of key.entries()) {
    const order = compare(own[index]!, part);
    if (order !== 0) return order > 0;
  }
  return false;
}

function keyOf({ view, app, tool }: Found): string[] {
  return [view.name, view.id, app.app, tool?.name ?? ""];
}

function hitOf({ view, app, tool }: Found): SearchHit {
  const { tools: _tools, more: _more, ...entry } = entryOf({ id: view.id, name: view.name }, view, app);
  return tool ? { ...entry, tool } : entry;
}
