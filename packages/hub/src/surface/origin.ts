/**
 * Whether a request is meant for this hub and comes from no other site's web page (DNS rebinding, cross-site requests).
 * Names are compared without their ports, as the MCP SDK does.
 */
import { HubError } from "../errors.js";

const loopbackNames = ["localhost", "127.0.0.1", "[::1]"];

/** See the module header. @throws {HubError} ORIGIN_REFUSED. */
export type AssertOrigin = (host: string | undefined, origin: string | undefined) => void;

/** Accepts requests to the loopback names and `hostnames`, and from pages of the loopback names. */
export function createOriginCheck(hostnames: readonly string[]): AssertOrigin {
  const hosts = new Set([...loopbackNames, ...hostnames]);
  const origins = new Set(loopbackNames);
  /** Headers seen before that are well: agents send the same one each time. */
  let known = "";

  return (host = "", origin = "") => {
    const isOurs = host !== "" && (host === known || hosts.has(hostnameOf(`http://${host}`)));
    if (!isOurs || (origin !== "" && !origins.has(hostnameOf(origin)))) {
      throw new HubError({
        code: "ORIGIN_REFUSED",
        message: "The request's Host or Origin is not this hub's own.",
        hint: "A web page of another site cannot use the hub; agents send no Origin.",
      });
    }
    known = host;
  };
}

/** The host in `url`, or nothing of one that is none. */
function hostnameOf(url: string): string {
  const { protocol, hostname } = URL.parse(url) ?? { protocol: "", hostname: "" };
  return protocol === "http:" || protocol === "https:" ? hostname : "";
}
