/** The list of all apps, by hub and app, and its pages. */
import type { HubId } from "@fed/core";
import { formatCursor, parseCursor } from "./cursor.js";
import { compare, type ListedApp } from "./listing.js";
import type { Shown } from "./listings.js";
import type { AppStatus } from "./ports.js";

/** An app that the caller may call something of. */
export interface CatalogueEntry extends Omit<ListedApp, "status"> {
  readonly hub: { readonly id: HubId; readonly name: string };
  /** The transport that reaches it now, `local`, or `none`. */
  readonly path: string;
  readonly status: AppStatus | "offline";
  /** Whether this may be out of date: its hub is out of reach, or has not answered since something changed. */
  readonly stale: boolean;
  /** When its hub said so, Unix milliseconds. */
  readonly asOfMs: number;
}

/** How much of the fleet an answer has seen. */
export interface HubsSeen {
  /** Hubs that have shown the caller something, now or earlier, this one included. */
  readonly known: number;
  readonly total: number;
}

/** Somewhere in the fleet. */
export interface Place {
  readonly hub: HubId;
  readonly app: string;
  /** Absent: the app as a whole. */
  readonly tool?: string;
}

/** Options of every list. */
export interface ShowOptions {
  /** When to return with what is known. Default 1000. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Narrows what is shown beyond what the owners' policies do, e.g. to what a token is for. */
  readonly visible?: ((place: Place) => boolean) | undefined;
}

/** Options of a page. */
export interface PageOptions extends ShowOptions {
  /** 1..1000, default 100. */
  readonly limit?: number | undefined;
  /** Where the page before ended. */
  readonly cursor?: string | undefined;
  readonly status?: CatalogueEntry["status"] | undefined;
}

/** One page. */
export interface AppPage {
  readonly apps: CatalogueEntry[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
  readonly hubs: HubsSeen;
}

/** One hub, as a list begins with it. */
export interface HubView {
  readonly id: HubId;
  readonly name: string;
  /** Undefined when no path is left. */
  readonly path: string | undefined;
  /** Undefined when it has shown nothing. */
  readonly shown: Shown | undefined;
  readonly stale: boolean;
  readonly asOfMs: number;
}

const cursorKind = "apps";

/** The apps of `views`, which are in order, from the cursor on. @throws {RouterError} REQUEST_MALFORMED. */
export function collectApps(
  views: readonly HubView[],
  { cursor, status, visible }: Pick<PageOptions, "cursor" | "status" | "visible">,
  limit: number,
): AppPage {
  const after = cursor === undefined ? undefined : parseCursor(cursorKind, cursor, ["string", "string", "string"]);
  const apps: CatalogueEntry[] = [];
  for (const view of views) {
    const place = after ? compare(view.name, after[0]) || compare(view.id, after[1]) : 1;
    if (place < 0 || !view.shown) continue;
    const hub = { id: view.id, name: view.name };
    for (const listed of view.shown.apps) {
      if (place === 0 && listed.app <= after![2]) continue;
      const entry = entryOf(hub, view, listed);
      if (status !== undefined && entry.status !== status) continue;
      const shown = visible ? narrowed(entry, visible) : entry;
      if (!shown) continue;
      if (apps.length === limit) {
        const last = apps.at(-1)!;
        const nextCursor = formatCursor(cursorKind, [last.hub.name, last.hub.id, last.app]);
        return { apps, nextCursor, hubs: seen(views) };
      }
      apps.push(shown);
    }
  }
  return { apps, hubs: seen(views) };
}

/** One app of `view`, as lists show it. */
export function entryOf(hub: CatalogueEntry["hub"], view: HubView, app: ListedApp): CatalogueEntry {
  const { path, stale, asOfMs } = view;
  return {
    hub,
    ...app,
    path: path ?? "none",
    status: path === undefined ? "offline" : app.status,
    stale,
    asOfMs,
  };
}

/** How many of `views` are known. */
export function seen(views: readonly HubView[]): HubsSeen {
  return { known: views.filter(({ shown }) => shown).length, total: views.length };
}

function narrowed(entry: CatalogueEntry, visible: (place: Place) => boolean): CatalogueEntry | undefined {
  const { hub, app, tools } = entry;
  if (!visible({ hub: hub.id, app })) return undefined;
  return tools ? { ...entry, tools: tools.filter(({ name }) => visible({ hub: hub.id, app, tool: name })) } : entry;
}
