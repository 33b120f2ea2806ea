/** How commands name an app. */
import { CliError } from "../output.js";

/** Hub and app of `HUB/APP` or `APP`. @throws {CliError} USAGE. */
export function parseAddress(address: string): { hub?: string; app: string } {
  const parts = address.split("/");
  if (parts.length === 1 && parts[0]) return { app: parts[0] };
  if (parts.length === 2 && parts[0] && parts[1]) return { hub: parts[0], app: parts[1] };
  throw new CliError({ code: "USAGE", message: `${address} is not HUB/APP.`, hint: "See `fed apps`." });
}
