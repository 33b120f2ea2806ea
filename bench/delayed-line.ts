/** A line on which every byte is under way for a while, once TCP is up on both halves. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A line that stands. */
export interface DelayedLine extends AsyncDisposable {
  readonly port: number;
}

/** A line to `port` of this machine with `oneWayMs` each way. */
export async function createDelayedLine(port: number, oneWayMs: number): Promise<DelayedLine> {
  const carry = (from: Socket, to: Socket): void => {
    from.on("data", (bytes) => setTimeout(() => to.write(bytes), oneWayMs));
    from.on("close", () => setTimeout(() => to.destroy(), oneWayMs));
    from.on("error", () => from.destroy());
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port, noDelay: true });
    carry(near, far);
    carry(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}
