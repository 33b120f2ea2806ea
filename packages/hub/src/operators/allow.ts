/** Where a token may be used: a list of hubs, apps and tools, asked on list and call alike by the hub that issued the token. */
import type { HubId } from "@fed/core";

/** What a narrowed token may use. What an entry leaves out may be anything. */
export interface Allowed {
  /** The hub's id. */
  readonly hub?: string;
  readonly app?: string;
  readonly tool?: string;
}

/** What somebody is about to see or use. */
export interface Place {
  /** `list` without a tool asks whether to show the app; with a tool it asks the same as `call`. */
  readonly action: "list" | "call";
  readonly hub: HubId;
  readonly app: string;
  /** Absent in a call that is of no tool (a resource, a prompt): it then meets no entry that names a tool. */
  readonly tool?: string | undefined;
}

/** Whether a bearer narrowed to `allow` (absent: not narrowed) may. Pure. */
export function allows(
  { allow }: { readonly allow?: readonly Allowed[] | undefined },
  { action, hub, app, tool }: Place,
): boolean {
  if (!allow) return true;
  const anyTool = action === "list" && tool === undefined;
  return allow.some(
    (entry) =>
      (entry.hub === undefined || entry.hub === hub) &&
      (entry.app === undefined || entry.app === app) &&
      (entry.tool === undefined || entry.tool === tool || anyTool),
  );
}

/** Whether everything that `inner` allows is allowed by `outer`; each entry of `inner` must lie within one of `outer`. */
export function isWithin(inner: readonly Allowed[] | undefined, outer: readonly Allowed[] | undefined): boolean {
  if (!outer) return true;
  if (!inner) return false;
  const covers = (wide: string | undefined, narrow: string | undefined) => wide === undefined || wide === narrow;
  return inner.every((entry) =>
    outer.some((by) => covers(by.hub, entry.hub) && covers(by.app, entry.app) && covers(by.tool, entry.tool)),
  );
}

/** The only hub on which `allow` allows something of `app`, if it names one: where a call that names no hub can go. */
export function onlyHub(
  { allow }: { readonly allow?: readonly Allowed[] | undefined },
  app: string,
): HubId | undefined {
  const entries = (allow ?? []).filter((entry) => entry.app === undefined || entry.app === app);
  const [first] = entries;
  return first?.hub !== undefined && entries.every(({ hub }) => hub === first.hub) ? first.hub : undefined;
}
