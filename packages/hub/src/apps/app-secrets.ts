/** Keeps an app's secrets out of its log and of error messages: values the owner configured are blanked wherever they occur. */
import type { AppConfig } from "./app-config.js";

/** Returns its text without the secrets. */
export type Conceal = (text: string) => string;

/** Shorter values would blank ordinary words. */
const minSecretChars = 6;
const blank = "[redacted]";

/**
 * Blanks the values of `env`, `headers` and `auth`, the query of `url` and `secrets`, of 6 characters and more each:
 * as they are, line by line, percent-encoded and as JSON writes them.
 */
export function concealment(config: AppConfig): Conceal {
  const secrets = new Set<string>();
  for (const value of valuesOf(config)) {
    for (const part of [value, ...value.split("\n")]) {
      if (part.length < minSecretChars) continue;
      for (const form of [part, encodeURIComponent(part), JSON.stringify(part).slice(1, -1)]) secrets.add(form);
    }
  }
  // The longest first, lest a part of a secret be blanked and the rest stay.
  const ordered = [...secrets].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((left, secret) => left.replaceAll(secret, blank), text);
}

function valuesOf(config: AppConfig): string[] {
  const values = [...(config.secrets ?? [])];
  if ("command" in config) values.push(...Object.values(config.env ?? {}));
  if ("url" in config) {
    values.push(...new URL(config.url).searchParams.values());
    // With and without the scheme: `Bearer abc`, `abc`.
    for (const value of Object.values(config.headers ?? {})) values.push(value, value.slice(value.indexOf(" ") + 1));
    if (config.auth && "bearer" in config.auth) values.push(config.auth.bearer);
    else if (config.auth) values.push(config.auth.clientCredentials.clientSecret);
  }
  return values;
}
