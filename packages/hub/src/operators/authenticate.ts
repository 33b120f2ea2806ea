/** Who sends a request, by the bearer token it carries. */
import type { AccessTokens } from "./access-tokens.js";
import type { Operator } from "./operator.js";
import { isToken } from "./token-record.js";
import type { OperatorTokens } from "./tokens.js";

/**
 * The operator that `bearer` (empty: none was sent) stands for, asking for the resource at `path`.
 * @throws {HubError} UNAUTHENTICATED, SCOPE_MISSING, OAUTH_UNAVAILABLE. @throws {RevocationError} OPERATOR_REVOKED.
 */
export type Authenticate = (bearer: string, path: string) => Promise<Operator>;

/** Tokens of this hub first; then those of the authorization server, if there is one. Revoked operators have no way in. */
export function createAuthenticate(options: {
  readonly tokens: OperatorTokens;
  readonly accessTokens: AccessTokens | undefined;
  /** @throws {RevocationError} OPERATOR_REVOKED. */
  readonly assertOperator: (principal: string) => void;
}): Authenticate {
  const { tokens, accessTokens, assertOperator } = options;
  return async (bearer, path) => {
    const isOurs = !accessTokens || bearer === "" || isToken(bearer);
    const operator = isOurs ? tokens.authenticate(bearer) : await accessTokens.verify(bearer, path);
    assertOperator(operator.principal);
    return operator;
  };
}
