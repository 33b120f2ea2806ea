/** What streams have carried, so that a client can fetch what it missed when a stream ends too early. */
import type { EventStore, JSONRPCMessage } from "@modelcontextprotocol/server";

const maxEvents = 1024;

/** Keeps the last 1,024 events of one session. */
export function createEventStore(): EventStore {
  const events = new Map<string, { streamId: string; message: JSONRPCMessage }>();
  let count = 0;
  return {
    async storeEvent(streamId, message) {
      const id = String(++count);
      events.set(id, { streamId, message });
      events.delete(String(count - maxEvents));
      return id;
    },
    getStreamIdForEventId: async (id) => events.get(id)?.streamId,
    async replayEventsAfter(lastEventId, { send }) {
      const streamId = events.get(lastEventId)?.streamId;
      if (streamId === undefined) throw new Error("This event is not kept any more.");
      for (const [id, event] of events) {
        // A stream begins with an event that has no message, only an id to resume from.
        const hasMessage = "jsonrpc" in event.message;
        if (event.streamId === streamId && Number(id) > Number(lastEventId) && hasMessage)
          await send(id, event.message);
      }
      return streamId;
    },
  };
}
