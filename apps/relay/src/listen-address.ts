/** The text form of where to listen. */
import { RelayHostError } from "./errors.js";

/** `HOST:PORT`, with an IPv6 host in brackets. @throws {RelayHostError} LISTEN_ADDRESS_INVALID. */
export function parseListenAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new RelayHostError({
      code: "LISTEN_ADDRESS_INVALID",
      message: "Where to listen is not HOST:PORT.",
      hint: "For example 127.0.0.1:7443 or [::]:7443.",
    });
  }
  return { host: match[1] ?? match[2]!, port };
}
