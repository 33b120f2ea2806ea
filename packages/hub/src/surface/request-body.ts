/** What a client of the REST API sends. */
import type { Context } from "hono";
import type { z } from "zod";
import { HubError } from "../errors.js";
import { valid } from "../valid.js";

/** The request's body as `schema` wants it; none is `{}`. @throws {HubError} REQUEST_INVALID. */
export async function body<T>(context: Context, schema: z.ZodType<T>): Promise<T> {
  return valid(schema, await json(context));
}

/** The request's body, whatever JSON it is; none is `{}`. @throws {HubError} REQUEST_INVALID. */
export async function json(context: Context): Promise<unknown> {
  const text = await context.req.text();
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new HubError({ code: "REQUEST_INVALID", message: "The request's body is not JSON.", cause });
  }
}
