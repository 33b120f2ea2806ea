/** A cluster's public documents as files, for foreign tools. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodePem } from "@fed/trust";
import { HubError } from "../errors.js";
import type { Membership } from "./membership.js";

/** Writes them into `directory` and returns their paths; never a private key. @throws {HubError} NOT_IN_CLUSTER, EXPORT_FAILED. */
export function exportPublic(membership: Membership, directory: string): string[] {
  const files: Readonly<Record<string, string>> = {
    "ca.pem": membership.cas.map((ca) => encodePem(ca, "CERTIFICATE")).join(""),
    "leaf.pem": encodePem(membership.leaf.der, "CERTIFICATE"),
    "manifest.json": `${JSON.stringify(membership.current.signed, undefined, 2)}\n`,
  };
  try {
    mkdirSync(directory, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  } catch (cause) {
    throw new HubError({
      code: "EXPORT_FAILED",
      message: `The documents cannot be written to ${directory}: ${(cause as Error).message}`,
      hint: "Name a directory that this user may write.",
      cause,
    });
  }
  return Object.keys(files).map((name) => join(directory, name));
}
