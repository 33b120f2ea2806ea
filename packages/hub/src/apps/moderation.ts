/** An app that reports without end must not fill the memory of others: progress is passed on as far as anybody can look at it. */
import type { Clock } from "@fed/core";
import type { Notification } from "@fed/router";

/** Progress notifications of one request that are passed on: at once, and in each second of its life. */
const progressBurst = 256;
const progressPerSecond = 20;

/** `notify` for one request: it hears everything but progress above the rate. */
export function moderated(notify: (notification: Notification) => void, clock: Clock) {
  const startedMs = clock.monotonicMs();
  let passed = 0;
  return (notification: Notification): void => {
    if (notification.method === "notifications/progress") {
      if (passed >= progressBurst + ((clock.monotonicMs() - startedMs) / 1000) * progressPerSecond) return;
      passed++;
    }
    notify(notification);
  };
}
