export { expectCode } from "./expect-code.js";
export { createTestClock, type TestClock } from "./test-clock.js";
