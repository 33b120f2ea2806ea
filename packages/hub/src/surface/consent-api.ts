/** The REST routes of consent: what tools can do, which calls wait for the operator, and the answers. */
import { z } from "zod";
import { approvalDecisions } from "../consent/approvals.js";
import type { Hub } from "../contract.js";
import { requireWhole } from "../operators/operator.js";
import type { AddRoute } from "./api.js";
import { body } from "./request-body.js";

const name = z.string().min(1).max(128);
const asking = z.enum(["ask", "allow"]).nullable().optional();
/** What the values may be in detail is the rules' own to say. */
const ruleBody = z.strictObject({
  app: name,
  tools: name.default("*"),
  risk: z.enum(["read", "write", "execute"]).nullable().optional(),
  write: asking,
  execute: asking,
  redact: z.array(z.string()).max(64).nullable().optional(),
});
const answerBody = z.strictObject({ decision: z.enum(approvalDecisions) });

/** Adds the routes. What others ask for, and tools whoever they are shared with, are for the scope `Admin` alone. */
export function addConsentRoutes(route: AddRoute, hub: Hub): void {
  route("GET", "/tool-rules", "ReadOnly", ({ get }) => {
    requireWhole(get("operator"));
    return hub.consent.rules;
  });
  route("POST", "/tool-rules", "Admin", async (context) => {
    const { app, tools, ...change } = await body(context, ruleBody);
    await hub.consent.change(app, tools, change);
    return hub.consent.rules;
  });
  route("GET", "/apps/:app/tools", "Admin", ({ get, req }) =>
    hub.consent.tools(req.param("app") ?? "", { operator: get("operator"), signal: req.raw.signal }),
  );
  route("GET", "/approvals", "Admin", () => ({
    pending: hub.approvals.pending(),
    standing: hub.approvals.standing(),
  }));
  route("POST", "/approvals/:id", "Admin", async (context) => {
    const { decision } = await body(context, answerBody);
    const operator = context.get("operator");
    const approval = await hub.approvals.answer(context.req.param("id") ?? "", decision, { operator });
    return { decision, approval };
  });
  route("DELETE", "/approvals/:id", "Admin", (context) =>
    hub.approvals.forget(context.req.param("id") ?? "", { operator: context.get("operator") }),
  );
}
