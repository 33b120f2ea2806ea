/** `/api/federation/agent-tokens`: an Admin issues and ends any token, everybody else those below its own. */
import { z } from "zod";
import { HubError } from "../errors.js";
import type { Operator } from "../operators/operator.js";
import { type TokenRequest, tokenRequest } from "../operators/token-record.js";
import type { IssuedToken, OperatorTokens, TokenInfo } from "../operators/tokens.js";
import { valid } from "../valid.js";

/** What the bearer of a token may do with tokens. `current` stands for its own. */
export interface AgentTokens {
  /** @throws {HubError} SCOPE_MISSING for a token that is not below the bearer's, unless that is an Admin's without a parent. */
  issue(bearer: Operator, body: unknown): Promise<IssuedToken>;
  list(bearer: Operator): readonly TokenInfo[];
  /** @throws {HubError} AGENT_TOKEN_UNKNOWN. */
  show(bearer: Operator, id: string): TokenInfo;
  /** @throws {HubError} AGENT_TOKEN_UNKNOWN. */
  revoke(bearer: Operator, id: string): Promise<readonly TokenInfo[]>;
}

const tokenId = z.string().max(64);

/** See {@link AgentTokens}. */
export function createAgentTokens(tokens: OperatorTokens): AgentTokens {
  /** Others' tokens are as if they were not there. */
  function own(bearer: Operator, text: string): string {
    const id = valid(tokenId, text) === "current" ? bearer.token : text;
    if (id !== undefined && (bearer.scope === "Admin" || tokens.isUnder(id, bearer.token ?? ""))) return id;
    throw new HubError({
      code: "AGENT_TOKEN_UNKNOWN",
      message: id === undefined ? "This token has no record of its own." : "There is no such token among yours.",
      hint: "See `fed token list`.",
    });
  }

  return {
    issue(bearer, body) {
      const request: TokenRequest = valid(tokenRequest, body);
      const isDelegated = bearer.token !== undefined && tokens.get(bearer.token).parent !== undefined;
      const parent = request.parent === undefined ? undefined : own(bearer, request.parent);
      // What a token that will end has made must end with it.
      if (isDelegated && (parent === undefined || !tokens.isUnder(parent, bearer.token!))) throw mayNot();
      if (parent !== undefined) return tokens.issue({ ...request, parent });
      if (bearer.scope === "Admin") return tokens.issue(request);
      throw mayNot();
    },
    list: (bearer) => {
      if (bearer.scope === "Admin") return tokens.list();
      return bearer.token === undefined ? [] : tokens.list(bearer.token);
    },
    show: (bearer, id) => tokens.get(own(bearer, id)),
    revoke: (bearer, id) => tokens.revoke(own(bearer, id)),
  };
}

function mayNot(): HubError {
  return new HubError({
    code: "SCOPE_MISSING",
    message: "Only an Admin whose token has no parent makes tokens that are not below its own.",
    hint: 'Make a narrower one of your own: name the parent "current".',
    details: { scope: "Admin" },
  });
}
