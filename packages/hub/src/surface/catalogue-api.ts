/** The REST routes of the catalogue: apps of the whole fleet, page by page; what is found in it; tools that have changed. */
import { appStatuses } from "@fed/router";
import type { Context } from "hono";
import { z } from "zod";
import type { Hub } from "../contract.js";
import { valid } from "../valid.js";
import type { AddRoute } from "./api.js";
import type { HubEnvironment } from "./http-server.js";
import { body } from "./request-body.js";

const name = z.string().min(1).max(128);
const cursor = z.string().min(1).max(1024).optional();
const limit = z.coerce.number().int().optional();
const listQuery = z.strictObject({
  cursor,
  limit,
  hub: name.optional(),
  status: z.enum([...appStatuses, "offline"]).optional(),
});
const searchQuery = z.strictObject({ query: z.string(), cursor, limit });
const acceptBody = z.strictObject({
  hub: name.optional(),
  app: name,
  tool: z.string().min(1).max(256).optional(),
  hash: z.string().length(43).optional(),
});

/** Adds the routes. Tools that have changed are named whoever may see them, so that is for the scope `Admin` alone. */
export function addCatalogueRoutes(route: AddRoute, hub: Hub): void {
  const asked = ({ get, req }: Context<HubEnvironment>) => ({ operator: get("operator"), signal: req.raw.signal });
  route("GET", "/apps", "ReadOnly", (context) =>
    hub.apps.page({ ...valid(listQuery, context.req.query()), ...asked(context) }),
  );
  route("GET", "/apps/search", "ReadOnly", (context) =>
    hub.apps.search({ ...valid(searchQuery, context.req.query()), ...asked(context) }),
  );
  route("GET", "/pins", "Admin", () => ({ changed: hub.apps.changedTools() }));
  route("POST", "/pins/accept", "Admin", async (context) => ({
    accepted: await hub.apps.acceptTools(await body(context, acceptBody), asked(context)),
  }));
}
