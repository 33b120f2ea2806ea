import { createMemoryStore } from "@fed/core/memory";
import { createTestClock } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createInputStates } from "../../src/apps/input-state.js";
import { openSeal } from "../../src/seal.js";

describe("the state of a request that asks for input", () => {
  const context = { principal: "ann", app: "raw", method: "tools/call", params: { name: "ask" } };
  const open = async () => {
    const clock = createTestClock();
    const states = createInputStates(await openSeal(createMemoryStore()), clock);
    const given = states.close(context, { resultType: "input_required", requestState: "the app's own" });
    return { clock, states, requestState: (given as { requestState: string }).requestState };
  };

  it("is good for ten minutes, for the request it was given for, unchanged in every character", async () => {
    const { clock, states, requestState } = await open();
    const back = (more: object, state: unknown = requestState) =>
      states.open({
        ...context,
        ...more,
        params: { name: "ask", ...(more as { params?: object }).params, requestState: state },
      });
    const refused = (attempt: () => unknown) => {
      expect(attempt).toThrow(expect.objectContaining({ code: "INPUT_STATE_INVALID" }));
    };
    expect(back({})).toMatchObject({ requestState: "the app's own" });
    for (let i = 0; i < requestState.length; i++) {
      for (const other of ["A", "_", "="]) {
        const forged = `${requestState.slice(0, i)}${other}${requestState.slice(i + 1)}`;
        // The last character has bits that spell nothing.
        if (!Buffer.from(forged, "base64url").equals(Buffer.from(requestState, "base64url")))
          refused(() => back({}, forged));
      }
    }
    for (const forged of [
      "",
      "x",
      requestState.slice(1),
      requestState.slice(0, -2),
      `${requestState}AA`,
      1,
      null,
      {},
      [],
    ]) {
      refused(() => back({}, forged));
    }
    for (const other of [
      { principal: "bob" },
      { app: "test" },
      { method: "prompts/get" },
      { params: { name: "other" } },
    ]) {
      refused(() => back(other));
    }
    const stranger = await open();
    refused(() => back({}, stranger.requestState));
    await clock.advance(600_000);
    refused(() => back({}));
  });
});
