/** The program that is found: shouts back what it hears, and says who said it. */
import assert from "node:assert/strict";
import { decodeUtf8, encodeUtf8 } from "@fed/core";
import { createTransport, receivePapers } from "./hub.ts";

const papers = await receivePapers();
const transport = createTransport(papers);
const listener = await transport.listen({
  connection(connection) {
    assert(connection.peer, "only a member gets here");
    connection.start({
      message(bytes) {
        connection.send(encodeUtf8(`${decodeUtf8(bytes).toUpperCase()} (${connection.peer?.hubId})`));
      },
      closed(error) {
        assert.equal(error, undefined, "the client left in good order");
        void listener.close().then(() => process.disconnect());
      },
    });
  },
  refused: (address, error) => process.send?.({ refused: error.code, address }),
});
process.send?.({ addresses: listener.addresses });
