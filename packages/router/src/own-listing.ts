/** What this hub shows a caller of its own apps: what the policy allows, cut to what one answer carries. */
import { canonicalJson, encodeBase64Url, encodeUtf8 } from "@fed/core";
import type { Execution } from "./execution.js";
import { limits } from "./limits.js";
import { compare, isToolName, type ListedApp, type ToolSummary, textsOf } from "./listing.js";
import { Shown } from "./listings.js";
import type { Caller, Digest, LocalApp, LocalApps, SharingPolicy, ToolDefinition } from "./ports.js";

/** Room for the braces and names around the apps. */
const frameBytes = 64;

/** What {@link OwnListing} is handed. */
export interface OwnListingPorts {
  readonly apps: LocalApps;
  /** That of the execution. */
  readonly policy: SharingPolicy;
  readonly execution: Execution;
  readonly digest: Digest;
}

/** See the module header. */
export class OwnListing {
  readonly #ports: OwnListingPorts;
  /** By definition: an app's tools are hashed once, however many ask. */
  readonly #summaries = new WeakMap<ToolDefinition, ToolSummary | "unlistable">();
  /** By caller, the one read longest ago first; all of them made of apps and policy as they were at `#version`. */
  readonly #kept = new Map<string, Shown>();
  #keptBytes = 0;
  #version = "";

  constructor(ports: OwnListingPorts) {
    this.#ports = ports;
  }

  /** This hub's apps that `caller` may call something of, by name, with the tools it may call. */
  of(caller: Caller): Shown {
    const { apps, policy } = this.#ports;
    const [ofApps, ofPolicy] = [apps.version?.(), policy.version?.()];
    if (ofApps === undefined || ofPolicy === undefined) return this.#made(caller);
    const version = `${ofApps} ${ofPolicy}`;
    if (version !== this.#version) {
      this.#version = version;
      this.#kept.clear();
      this.#keptBytes = 0;
    }
    const key = keyOf(caller);
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    const shown = kept ?? this.#made(caller);
    this.#kept.set(key, shown);
    if (!kept) this.#bound(shown);
    return shown;
  }

  /** Makes room for one more. */
  #bound(added: Shown): void {
    this.#keptBytes += heldBytes(added);
    for (const [key, oldest] of this.#kept) {
      if (this.#kept.size <= limits.ownListings && this.#keptBytes <= limits.ownListingBytes) return;
      this.#kept.delete(key);
      this.#keptBytes -= heldBytes(oldest);
    }
  }

  #made(caller: Caller): Shown {
    const { apps, execution } = this.#ports;
    const shown = apps
      .list()
      .filter(({ app }) => execution.decide({ action: "list", app, caller }).allow)
      .sort((a, b) => compare(a.app, b.app))
      .slice(0, limits.listApps);
    return this.#fitting(shown, caller);
  }

  /**
   * Every app is named; texts and tools take the room that is left. Apps with few tools come first, and each may take an
   * equal share of what those before it have left, so that one with very many crowds out nobody.
   */
  #fitting(apps: readonly LocalApp[], caller: Caller): Shown {
    let room = limits.listBytes - frameBytes;
    const named = apps.map(({ app, status }) => ({ app, status }));
    for (const entry of named) room -= jsonBytes(entry);
    const described = apps.map((app, index): ListedApp => {
      const texts = textsOf(app, limits.descriptionChars);
      const bytes = jsonBytes(texts);
      if (bytes > room) return named[index]!;
      room -= bytes;
      return { ...named[index]!, ...texts };
    });
    const queue = apps
      .map(({ app }, index) => ({ index, tools: this.#ports.apps.tools?.(app) }))
      .filter(({ tools }) => tools !== undefined)
      .sort((a, b) => a.tools!.length - b.tools!.length);
    for (const [done, { index, tools }] of queue.entries()) {
      const fitting = this.#tools(described[index]!.app, tools!, caller, Math.floor(room / (queue.length - done)));
      room -= fitting.bytes;
      described[index] = {
        ...described[index]!,
        tools: fitting.tools,
        ...(fitting.more && { more: true }),
      };
    }
    return new Shown(described, limits.listBytes - room, "");
  }

  #tools(
    app: string,
    definitions: readonly ToolDefinition[],
    caller: Caller,
    room: number,
  ): { readonly tools: ToolSummary[]; readonly bytes: number; readonly more: boolean } {
    const tools: ToolSummary[] = [];
    const names = new Set<string>();
    let bytes = frameBytes;
    for (const definition of definitions) {
      const summary = this.summary(definition);
      if (!summary) continue;
      const shown = this.#ports.execution.shownTool(app, summary.name, caller);
      if (!shown || names.has(summary.name)) continue;
      const tool: ToolSummary = { ...summary, ...(shown.risk && { risk: shown.risk }) };
      bytes += jsonBytes(tool) + 1;
      if (tools.length >= limits.listTools || bytes > room) {
        return { tools: tools.sort(byName), bytes: Math.min(bytes, room), more: true };
      }
      names.add(tool.name);
      tools.push(tool);
    }
    return { tools: tools.sort(byName), bytes, more: false };
  }

  /** Name, texts and hash of one definition; undefined for one that no listing can carry. */
  summary(definition: ToolDefinition): ToolSummary | undefined {
    let known = this.#summaries.get(definition);
    if (!known) {
      known = summaryOf(definition, this.#ports.digest) ?? "unlistable";
      this.#summaries.set(definition, known);
    }
    return known === "unlistable" ? undefined : known;
  }
}

/** With the lower-case copy of its texts that the first search makes. */
function heldBytes({ bytes }: Shown): number {
  return 2 * bytes;
}

/** All that a decision may depend on: everything but what is of one request alone. */
function keyOf({ txn: _txn, token: _token, ...caller }: Caller): string {
  return JSON.stringify(caller);
}

/**
 * The hash by which a tool's definition is known: SHA-256 over its canonical JSON (RFC 8785), base64url, 43 characters.
 * @throws {CoreError} NOT_CANONICALIZABLE.
 */
export function toolHash(definition: ToolDefinition, digest: Digest): string {
  return encodeBase64Url(digest(canonicalJson(definition)));
}

function summaryOf(definition: ToolDefinition, digest: Digest): ToolSummary | undefined {
  const { name, title, description, annotations } = definition;
  if (!isToolName(name)) return undefined;
  const hints = (annotations ?? {}) as { readonly title?: unknown; readonly idempotentHint?: unknown };
  try {
    return {
      name,
      ...textsOf({ title: title ?? hints.title, description }, limits.toolDescriptionChars),
      ...(hints.idempotentHint === true && { idempotent: true }),
      hash: toolHash(definition, digest),
    };
  } catch {
    // Of what has no JSON form there is no hash that others could compare.
    return undefined;
  }
}

function byName(a: ToolSummary, b: ToolSummary): number {
  return compare(a.name, b.name);
}

function jsonBytes(value: unknown): number {
  return encodeUtf8(JSON.stringify(value)).length;
}
