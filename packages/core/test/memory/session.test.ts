import { createMemorySessionPair, type MemorySessionPairOptions } from "@fed/core/memory";
import { type SessionFixture, type SessionHandlers, testSession } from "@fed/core/testing";
import { identityOf } from "../identity.js";

async function setup(handlers: SessionHandlers, options?: MemorySessionPairOptions): Promise<SessionFixture> {
  const [a, b] = [identityOf("a"), identityOf("b")];
  const [initiator, responder] = await createMemorySessionPair(
    { identity: a, handler: handlers.initiator },
    { identity: b, handler: handlers.responder },
    options,
  );
  return { initiator, responder, initiatorIdentity: a, responderIdentity: b };
}

testSession("memory", setup);
