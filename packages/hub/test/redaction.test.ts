import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSecretName, redact, redactedMark, redactText } from "../src/redaction.js";

/** Fields that tools, headers and configuration files really have. */
const secretNames =
  "password Password PASSWORD dbPassword DB_PASSWORD db-password dbpassword passwd user.passwd secret clientSecret " +
  "client_secret token accessToken access_token refresh-token api_key apiKey APIKey API-KEY apikey X-Api-Key " +
  "authorization Authorization Proxy-Authorization cookie Set-Cookie private_key privateKey PRIVATEKEY credential " +
  "credentials awsSecretAccessKey aws_secret_access_key passphrase pwd auth OAuthToken password2 sshKey otp ｐａｓｓｗｏｒｄ";
const plainNames =
  "author tokenizer secretary keyboard key name monkey primaryKey compass path description textual bearing text id cookiecutter";

/** Values that are secret whatever they are called; none of them ends before it seems to. */
const jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg";
const shapes: Readonly<Record<string, string>> = {
  "a PEM private key":
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPlanted\nAndMore==\n-----END PRIVATE KEY-----",
  "a PEM private key that is cut": "-----BEGIN RSA PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPlanted",
  "a bearer header": "Bearer abc.DEF-123_planted",
  "basic authentication": "Basic YW5uOnBsYW50ZWQ=",
  "an operator's token": "fedop1.abcdefgh.abcdefghijklmnopqrstuvwxyz234567",
  "a pairing token": "fedpair1.abcdefgh.planted.aGludHM",
  "a JWT": jwt,
  "a key id": "AKIAIOSFODNN7EXAMPLE",
  "a forge's token": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
};

const planted = fc.stringMatching(/^[A-Za-z0-9]{12,40}$/).map((text) => `Pl4nted${text}`);
const name = fc.constantFrom(...secretNames.split(" "));

describe("a field's name", () => {
  it.each(secretNames.split(" "))("%s is a secret's", (text) => expect(isSecretName(text)).toBe(true));
  it.each(plainNames.split(" "))("%s is not", (text) => expect(isSecretName(text)).toBe(false));
  it("that is longer than any is taken for one", () => expect(isSecretName("x".repeat(1000))).toBe(true));
});

describe("a value", () => {
  it.each(Object.entries(shapes))("%s is replaced, whatever is around it", (_what, secret) => {
    for (const text of [secret, `before ${secret}`, `it says "${secret}"`, JSON.stringify({ note: secret })]) {
      const shown = redactText(text);
      expect(shown).toContain(redactedMark);
      for (const part of secret.split(/[\s.]/).filter((word) => word.length > 8 && !word.startsWith("-----"))) {
        expect(shown).not.toContain(part);
      }
    }
  });

  it.each([
    ["password=hunter2&user=ann", "user=ann"],
    ["token: hunter2", ""],
    ["Authorization: Digest hunter2, realm=hunter2", ""],
    ["Cookie: a=hunter2; b=hunter2\nHost: pc1", "Host: pc1"],
    ['got {"password":"hunter2","user":"ann"}', '"user":"ann"'],
    ['got {\\"password\\":\\"hunter2\\",\\"user\\":\\"ann\\"}', "ann"],
    ['got {"password":"x\\"hunter2","user":"ann"}', "ann"],
    ["credentials: {user: ann, word: hunter2}", ""],
    ["postgres://ann:hunter2@db/notes", "@db/notes"],
    ["postgres://ann:x@hunter2@db/notes", "@db/notes"],
    ["run --password hunter2 --verbose", "--verbose"],
    ["key=hunter2hunter2hunter2", ""],
    ["passphrase => hunter2 hunter2", ""],
  ])("after its name in a text: %s", (text, rest) => {
    const shown = redactText(text);
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain(rest);
  });

  it.each([
    "The tokenizer read 12 words.",
    "key=short",
    "see https://pc1:4870/mcp?page=2",
    "fedrelay1.abcdefgh is what the relay admits",
    "Cannot find module 'notes'",
  ])("that is none stays: %s", (text) => expect(redactText(text)).toBe(text));

  it("follows a flag in a list of arguments", () => {
    expect(redact(["login", "--password", "hunter2", "--user", "ann"])).toEqual([
      "login",
      "--password",
      redactedMark,
      "--user",
      "ann",
    ]);
  });
});

describe("properties", () => {
  it("never throws, is JSON, and keeps to its size", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
        fc.integer({ min: 256, max: 4096 }),
        (value, maxBytes) => {
          const text = JSON.stringify(redact(value, { maxBytes }));
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxBytes);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("lets no value pass that stands under a secret's name, however deep", () => {
    fc.assert(
      fc.property(
        planted,
        name,
        fc.array(fc.constantFrom("a", "b", "list"), { maxLength: 14 }),
        (secret, field, way) => {
          let value: unknown = { [field]: secret, beside: [{ [field]: { inner: [secret] } }] };
          for (const step of way) value = step === "list" ? [value] : { [step]: value };
          for (const shape of [value, JSON.stringify(value), { text: JSON.stringify(value, undefined, 2) }]) {
            expect(JSON.stringify(redact(shape))).not.toContain(secret);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("lets no value pass that a text gives away", () => {
    const around = fc.string({ maxLength: 40 }).map((text) => text.replaceAll("\\", "/"));
    const spelt = fc.constantFrom(
      (field: string, secret: string) => `${field}=${secret}`,
      (field: string, secret: string) => `${field}: ${secret}`,
      (field: string, secret: string) => `"${field}": "${secret}"`,
      (_: string, secret: string) => `Bearer ${secret}`,
      (_: string, secret: string) => `https://ann:${secret}@pc1/`,
    );
    fc.assert(
      fc.property(around, spelt, name, planted, around, (before, spell, field, secret, after) => {
        expect(redactText(`${before} ${spell(field, secret)} ${after}`)).not.toContain(secret);
      }),
      { numRuns: 1000 },
    );
  });

  it("a getter, a proxy or a cycle that would throw hurts nobody", () => {
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new TypeError("no");
        },
      },
    );
    const getter = {
      get x() {
        throw new TypeError("no");
      },
    };
    const cycle: Record<string, unknown> = { name: "a" };
    cycle.self = cycle;
    for (const value of [trap, getter, cycle, { trap, getter, cycle }]) JSON.parse(JSON.stringify(redact(value)));
  });
});

it("a long text is cut, and never through a secret", () => {
  const text = `${"word ".repeat(13_100)}AKIAIOSFODNN7EXAMPLE ${"x".repeat(200_000)}`;
  for (let shift = 0; shift < 24; shift++) {
    const shown = redactText("y".repeat(shift) + text);
    expect(shown.length).toBeLessThanOrEqual(64 * 1024);
    expect(shown).not.toMatch(/AKIA/);
  }
  expect(redactText("x".repeat(100), { maxChars: 10 })).toBe(`${"x".repeat(9)}…`);
});

it.each(["eyJaaaa-", "-eyJaa", "token=", "a://b:", "Basic ", "-----BEGIN A PRIVATE KEY-----"])(
  "a text of nothing but the beginnings of a secret (%s) is read in no time",
  (beginning) => {
    const text = beginning.repeat(Math.floor((64 * 1024) / beginning.length));
    const startedMs = performance.now();
    redactText(text);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  },
);

it("however a text is cut, half a secret does not show", () => {
  fc.assert(
    fc.property(planted, fc.nat(6000), fc.integer({ min: 256, max: 2048 }), (secret, before, maxBytes) => {
      for (const space of ["x", "x "]) {
        const text = `${space.repeat(before).slice(0, before)} password=${secret} ${"y".repeat(9000)}`;
        expect(JSON.stringify(redact({ text }, { maxBytes }))).not.toContain("Pl4n");
      }
    }),
    { numRuns: 300 },
  );
});

it("an error is shown by its name, code and message", () => {
  const error = Object.assign(new Error("the token=hunter2 was refused"), { code: "APP_FAILED" });
  expect(redact({ error })).toEqual({
    error: { name: "Error", code: "APP_FAILED", message: `the token=${redactedMark} was refused` },
  });
});
