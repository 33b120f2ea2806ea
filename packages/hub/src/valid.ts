/** Input of people and programs, as a schema allows it. */
import type { z } from "zod";
import { HubError } from "./errors.js";

/** @throws {HubError} REQUEST_INVALID, naming the first place that is wrong. */
export function valid<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HubError({
    code: "REQUEST_INVALID",
    message: `${issue?.path.join(".") || "The request"}: ${issue?.message ?? "not valid"}.`,
  });
}
