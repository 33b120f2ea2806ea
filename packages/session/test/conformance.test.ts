import { testSession } from "@fed/core/testing";
import { createSession } from "../src/index.js";
import { alice, bob, connectionPair, epochOf } from "./fixture.js";

for (const [name, maxMessageBytes] of [
  ["1 MiB messages", 1024 * 1024],
  ["64 KiB messages and one header", 64 * 1024 + 10],
] as const) {
  testSession(`createSession over memory, ${name}`, async (handlers) => {
    const [near, far] = await connectionPair({ maxMessageBytes });
    const [initiator, responder] = await Promise.all([
      createSession(near, { epoch: epochOf(1), handler: handlers.initiator }),
      createSession(far, { epoch: epochOf(2), handler: handlers.responder }),
    ]);
    return { initiator, responder, initiatorIdentity: alice, responderIdentity: bob };
  });
}
