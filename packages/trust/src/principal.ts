/** Operators by name: `<name>@<hubId>`, a name that means something only together with the home hub that vouches for it. */
import { type HubId, isRoleName } from "@fed/core";
import { isHubId } from "./cluster-name.js";
import { TrustError } from "./errors.js";

/** An operator of a hub. */
export interface Principal {
  /** 1..64 characters of `a-z 0-9 . _ -`, the first a letter or digit. */
  readonly name: string;
  /** The home hub, the only one that may vouch for this operator. */
  readonly hubId: HubId;
}

/**
 * The principal that `text` names.
 * @throws {TrustError} PRINCIPAL_MALFORMED unless `text` is `<name>@<hubId>`.
 */
export function parsePrincipal(text: string): Principal {
  const at = text.indexOf("@");
  return checked({ name: text.slice(0, Math.max(at, 0)), hubId: text.slice(at + 1) });
}

/**
 * `<name>@<hubId>`, at most 91 characters.
 * @throws {TrustError} PRINCIPAL_MALFORMED when the name or the hub id is not of its form.
 */
export function formatPrincipal(principal: Principal): string {
  const { name, hubId } = checked(principal);
  return `${name}@${hubId}`;
}

function checked(principal: Principal): Principal {
  if (isRoleName(principal.name) && isHubId(principal.hubId)) return principal;
  throw new TrustError({
    code: "PRINCIPAL_MALFORMED",
    message: "Not an operator's name of the form <name>@<hubId>.",
    hint: "The name is 1 to 64 of a-z 0-9 . _ - and the hub id 26 base32 characters, as `fed status` shows it.",
  });
}
