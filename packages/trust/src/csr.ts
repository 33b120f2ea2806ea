/** Certificate requests (PKCS#10, RFC 2986): how a hub proves that it holds the key it wants a leaf for. */
import { TrustError } from "./errors.js";
import { createSigner, type KeyPair, verifySignature } from "./keys.js";
import { parseRequest } from "./x509.js";

/** DER of a request for `key`. It names nobody: what the leaf will say is the issuer's decision. */
export async function createCsr({ key }: { readonly key: KeyPair }): Promise<Uint8Array> {
  const { buildRequest } = await import("./certificate-builder.js");
  return buildRequest(createSigner(key.secretKey));
}

/**
 * The public key (32 bytes) whose holder made the request in `der`.
 * @throws {TrustError} CSR_MALFORMED when it is over 8 KiB, not DER, not Ed25519 or names anything; CSR_BAD_SIGNATURE.
 */
export function verifyCsr(der: Uint8Array): { readonly publicKey: Uint8Array } {
  const { publicKey, tbs, signature } = parseRequest(der);
  try {
    verifySignature(publicKey, tbs, signature);
  } catch (cause) {
    throw new TrustError({ code: "CSR_BAD_SIGNATURE", message: "The request is not signed by its own key.", cause });
  }
  return { publicKey };
}
