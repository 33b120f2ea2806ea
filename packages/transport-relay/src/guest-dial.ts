/** How somebody without a leaf reaches a hub through its relay, to join. docs/spec/relay.md §8. */
import {
  abortedError,
  type Clock,
  encodeUtf8,
  type FedError,
  type GuestDial,
  randomBytes,
  systemClock,
  throwIfAborted,
} from "@fed/core";
import { readCapabilityToken, seedSigner } from "./capability-token.js";
import { parseGuestAddress } from "./guest-address.js";
import { bootIdBytes } from "./handshake-payload.js";
import { defaultRekeyLimits } from "./key-renewal.js";
import { generateNoiseKeyPair } from "./noise.js";
import { createRelayEndpoint, type RelayEndpoint } from "./relay-endpoint.js";
import { createRelayLink, type RelayLink } from "./relay-link.js";
import { connectWebSocket, type WebSocketConnect } from "./web-socket.js";

/** Options of {@link createRelayGuestDial}. */
export interface RelayGuestDialOptions {
  /** Default the platform's WebSocket. */
  readonly connect?: WebSocketConnect;
  readonly clock?: Clock;
}

/**
 * Dials `relay:` addresses of pairing tokens. The guest makes a Noise key for this one connection.
 * The dial rejects with GUEST_ADDRESS_INVALID, UNREACHABLE, the relay's refusal, or what `authenticateResponder` threw.
 */
export function createRelayGuestDial(options: RelayGuestDialOptions = {}): GuestDial {
  const { connect = connectWebSocket, clock = systemClock } = options;
  return async (text, { signal, authenticateResponder }) => {
    throwIfAborted(signal);
    const address = parseGuestAddress(text);
    const token = encodeUtf8(address.token);
    const claims = readCapabilityToken(token);
    let endpoint: RelayEndpoint | undefined;
    let link: RelayLink | undefined;
    try {
      const up = new Promise<void>((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(abortedError(signal)), { once: true });
        link = createRelayLink({
          url: address.url,
          connect,
          clock,
          reconnect: false,
          admission: () => ({
            token,
            tag: claims.tag,
            route: claims.route,
            expiresAtMs: claims.expires * 1000,
            sign: seedSigner(address.seed),
          }),
          events: {
            state: ({ status, error }) => {
              if (status === "closed" || status === "replaced") reject(error as FedError);
            },
            up: resolve,
            down: (error) => endpoint?.lost(error),
            received: (route, payload) => endpoint?.received(route, payload),
            noRoute: (route) => endpoint?.noRoute(route),
            dropped: (route) => endpoint?.dropped(route),
            presence: () => {},
          },
        });
      });
      await up;
      endpoint = createRelayEndpoint({
        link: link!,
        tag: claims.tag,
        noiseKey: generateNoiseKeyPair(),
        bootId: randomBytes(bootIdBytes),
        clock,
        rekey: defaultRekeyLimits,
        responder: () => undefined,
        idle: () => link!.close(),
      });
      return await endpoint.dial({
        route: address.route,
        responderKey: address.noiseKey,
        hello: { role: "guest", timestamp: clock.nowMs(), chain: [] },
        authenticate(chain) {
          authenticateResponder(chain);
          return undefined;
        },
        ...(signal && { signal }),
      });
    } catch (error) {
      link?.close();
      throw error;
    }
  };
}
