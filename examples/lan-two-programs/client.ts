/** The program that searches: finds the server by multicast, or is told its address where that does not work. */
import assert from "node:assert/strict";
import { decodeUtf8, encodeUtf8 } from "@fed/core";
import { createTransport, receivePapers } from "./hub.ts";

const papers = await receivePapers();
const transport = createTransport(papers);

const address = await new Promise<string>((resolve) => {
  const discovery = transport.discover(({ address: found, present }) => {
    if (present) resolve(found);
  });
  process.once("message", ({ fallback }: { fallback: string }) => resolve(fallback));
  process.once("disconnect", () => void discovery.close());
});
console.log(`client: found ${address} (discovery is ${transport.discoveryState().status})`);

const connection = await transport.dial(address);
const answer = new Promise<Uint8Array>((resolve, reject) => {
  connection.start({ message: resolve, closed: (error) => reject(error ?? new Error("closed without an answer")) });
});
connection.send(encodeUtf8("hello from the other program"));
const text = decodeUtf8(await answer);
assert.equal(text, `HELLO FROM THE OTHER PROGRAM (${papers.hubId})`, "the server saw our certificate");
console.log(`client: server ${connection.peer?.hubId} answered: ${text}`);
connection.close();
process.disconnect();
