import { expect, it } from "vitest";
import { riskOf } from "../../src/consent/risk.js";

it.each([
  [{ readOnlyHint: true }, "read"],
  [{ readOnlyHint: true, destructiveHint: false, openWorldHint: true }, "read"],
  [{ readOnlyHint: true, destructiveHint: true }, "execute"],
  [{ destructiveHint: true }, "execute"],
  [{ destructiveHint: false }, "write"],
  [{ readOnlyHint: false }, "write"],
  [{ readOnlyHint: "true", destructiveHint: "true" }, "write"],
  [{}, "write"],
  [undefined, "write"],
  [["readOnlyHint"], "write"],
] as const)("annotations %j make the risk %s", (annotations, risk) => expect(riskOf(annotations)).toBe(risk));
