export { type ConnectionReader, readConnection } from "./connection-reader.js";
export { expectCode } from "./expect-code.js";
export { type RefusableAuthenticator, refusableAuthenticator } from "./refusable-authenticator.js";
export type { SessionFixture, SessionHandlers } from "./session-fixture.js";
export { testSession } from "./session-suite.js";
export { type StoreFixture, type StoreSuiteOptions, testStore } from "./store-suite.js";
export { createTestClock, type TestClock } from "./test-clock.js";
export type { TransportFixture, TransportSide } from "./transport-fixture.js";
export { testTransport } from "./transport-suite.js";
