/** Takes an app's secrets out of its errors before they leave the hub: what an app says is passed on, what it was given is not. */
import type { FedError, Json } from "@fed/core";
import { detailsOf, RouterError } from "@fed/router";
import { HubError, type HubErrorCode } from "../errors.js";
import type { Conceal } from "./app-secrets.js";

/** `error` itself where there is nothing to take out. */
export function concealError(error: FedError, conceal: Conceal): FedError {
  const details = detailsOf(error);
  const text = JSON.stringify([error.message, error.hint, details]);
  if (error instanceof RouterError || conceal(text) === text) return error;
  return new HubError({
    code: error.code as HubErrorCode,
    message: conceal(error.message),
    hint: error.hint && conceal(error.hint),
    retryable: error.retryable,
    ...(details && { details: concealed(details, conceal) as typeof details }),
  });
}

function concealed(value: Json | undefined, conceal: Conceal): Json | undefined {
  if (typeof value === "string") return conceal(value);
  if (Array.isArray(value)) return value.map((item) => concealed(item, conceal) ?? null);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, concealed(item, conceal) as Json]));
}
