/** Apps and tools of the fleet as operators and agents are shown them. */
import type { HubId } from "@fed/core";
import type { CatalogueEntry, HubsSeen, Place, SearchHit, ToolSummary } from "@fed/router";
import type { ToolDefinition } from "../apps/tool-list.js";
import type { Operator } from "../operators/operator.js";
import type { PinChange } from "./tool-pins.js";

/** One tool of an app, in short. */
export interface ListedTool extends ToolSummary {
  /** Its definition is not the one that was first seen, or accepted since. */
  readonly changed?: true;
}

/** One app. */
export interface ListedApp extends Omit<CatalogueEntry, "hub" | "tools"> {
  readonly hub: string;
  readonly hubId: string;
  /** By name; absent while nobody knows them, because the app has not run yet. */
  readonly tools?: readonly ListedTool[];
  /** One of its tools has changed. */
  readonly changed?: true;
}

/** One page of all apps. */
export interface AppPage {
  readonly apps: readonly ListedApp[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
  /** How many hubs the page speaks for, of how many there are. */
  readonly hubs: HubsSeen;
}

/** An app that fits a search, or a tool of one. */
export interface FoundApp extends Omit<ListedApp, "tools" | "more"> {
  /** Absent: the app itself fits. */
  readonly tool?: ListedTool;
}

/** One page of what was found, best first. */
export interface FoundPage {
  readonly matches: readonly FoundApp[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
  readonly hubs: HubsSeen;
}

/** A tool as its app defines it, with what its owner and this hub say of it. */
export interface DescribedTool extends ToolDefinition, Pick<ListedTool, "risk" | "changed"> {}

/** One app with everything its tools say of themselves. */
export interface DescribedApp extends Omit<ListedApp, "tools" | "more"> {
  readonly tools: readonly DescribedTool[];
}

/** A tool whose definition is not the one that was first seen, or accepted since. */
export interface ChangedTool extends Omit<PinChange, "hub"> {
  readonly hub: string;
  readonly hubId: HubId;
}

/** On whose authority something is listed. */
export interface ListOptions {
  readonly operator: Operator;
  readonly signal?: AbortSignal;
}

/** Which page of the list. */
export interface PageOptions extends ListOptions {
  /** 1..1000, default 100. */
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** Only this hub, by name or id. */
  readonly hub?: string;
  readonly status?: ListedApp["status"];
}

/** What to look for. */
export interface SearchOptions extends ListOptions {
  /** 1..16 words, at most 256 characters together; all of them must be found. */
  readonly query: string;
  /** 1..200, default 50. */
  readonly limit?: number;
  /** `nextCursor` of the page before, of the same query. */
  readonly cursor?: string;
}

/** The changed tools of an app. */
export type ChangedOf = (place: Place) => ReadonlyMap<string, unknown> | undefined;

/** `entry`, marked where it has changed. */
export function listedApp({ hub, tools, ...entry }: CatalogueEntry, changedOf: ChangedOf): ListedApp {
  const changed = changedOf({ hub: hub.id, app: entry.app });
  return {
    hub: hub.name,
    hubId: hub.id,
    ...entry,
    ...(tools && { tools: changed ? tools.map((tool) => marked(tool, changed)) : tools }),
    ...(changed && { changed: true }),
  };
}

/** `hit`, marked where it has changed. */
export function foundApp({ tool, ...hit }: SearchHit, changedOf: ChangedOf): FoundApp {
  const { tools: _tools, ...app } = listedApp(hit, changedOf);
  if (!tool) return app;
  const changed = changedOf({ hub: hit.hub.id, app: hit.app });
  return { ...app, tool: changed ? marked(tool, changed) : tool };
}

function marked(tool: ToolSummary, changed: ReadonlyMap<string, unknown>): ListedTool {
  return changed.has(tool.name) ? { ...tool, changed: true } : tool;
}
