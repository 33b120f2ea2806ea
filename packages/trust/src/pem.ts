/** PEM text (RFC 7468 §3, strict grammar): one object per text. */
import { TrustError } from "./errors.js";

/** Labels this project reads and writes. */
export type PemLabel = "CERTIFICATE" | "CERTIFICATE REQUEST" | "PRIVATE KEY" | "X509 CRL";

const maxPemChars = 16 * 1024 * 1024;

/** `der` as PEM: 64 characters a line, ending in a newline. */
export function encodePem(der: Uint8Array, label: PemLabel): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.map((line) => `${line}\n`).join("")}-----END ${label}-----\n`;
}

/**
 * The DER bytes of the one PEM object in `pem`; white space around it is allowed, anything else is not.
 * @throws {TrustError} PEM_MALFORMED on another label, a second object, text around it, bad base64, over 16 Mi characters.
 */
export function decodePem(pem: string, label: PemLabel): Uint8Array {
  if (pem.length > maxPemChars) throw malformed(label);
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const text = pem.trim();
  if (!text.startsWith(begin) || !text.endsWith(end) || text.length < begin.length + end.length) throw malformed(label);
  const body = text.slice(begin.length, -end.length).replace(/[\r\n]/g, "");
  let binary: string;
  try {
    binary = atob(body);
  } catch (cause) {
    throw malformed(label, cause);
  }
  const der = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  if (der.length === 0 || encodeBase64(der) !== body) throw malformed(label);
  return der;
}

function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

function malformed(label: PemLabel, cause?: unknown): TrustError {
  return new TrustError({
    code: "PEM_MALFORMED",
    message: `Not exactly one PEM object labelled ${label}.`,
    hint: "Hand in one -----BEGIN/END----- block and nothing else.",
    cause,
  });
}
