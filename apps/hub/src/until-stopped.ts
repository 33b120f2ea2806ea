/** How a command that runs on comes to its end. */

const signals = ["SIGINT", "SIGTERM"] as const;

/** Resolves at the first SIGINT or SIGTERM; from then on either ends the process at once. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    // Signals alone do not keep a process alive, and a hub may have no socket of its own.
    const alive = setInterval(() => {}, 60_000);
    const stop = () => {
      clearInterval(alive);
      for (const signal of signals) process.off(signal, stop);
      resolve();
    };
    for (const signal of signals) process.on(signal, stop);
  });
}
