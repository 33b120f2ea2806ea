/** Events of the tap as lines for people. */
import type { TapEvent } from "@fed/hub";

/** One line, or two with what was said. */
export function tapLine(event: TapEvent): string {
  if (event.event === "lost") return `  … ${event.events} events were missed: the reader was too slow`;
  const { atMs, app, hub, tool, method, operator, from } = event;
  const who = `${operator?.replace(/@[^@]*$/, "") ?? "somebody"}${from === undefined ? "" : ` of ${from}`}`;
  const what = `${hub === undefined ? "" : `${hub}/`}${app} ${tool ?? method}`;
  const parts = [clock(atMs), signs[event.event], what, who];
  switch (event.event) {
    case "started":
      parts.push(bytes(event.requestBytes));
      break;
    case "ended":
      parts.push(event.code, `${event.durationMs.toFixed(1)} ms`, event.path);
      if (event.resultBytes !== undefined) parts.push(bytes(event.resultBytes));
      if (event.notifications > 0) parts.push(`${event.notifications} notifications`);
      break;
    case "denied":
      parts.push(`denied by ${event.rule}`);
  }
  const said = event.event === "started" ? event.arguments : event.event === "ended" ? event.result : undefined;
  const line = printable(parts.join("  "));
  return said === undefined ? line : `${line}\n    ${printable(JSON.stringify(said))}`;
}

const signs = { started: "→", ended: "←", denied: "×" } as const;

/** Names come from agents and other hubs: what would move the cursor or turn the line around is made visible. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{FFFD}");
}

function clock(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

function bytes(count: number): string {
  return count < 10_000 ? `${count} B` : `${(count / 1024).toFixed(1)} KiB`;
}
