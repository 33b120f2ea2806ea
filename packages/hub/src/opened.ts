/** What was opened one after the other and is let go of in reverse; `AsyncDisposableStack`, which Node 22 does not have. */

/** See the module header. */
export class Opened implements AsyncDisposable {
  readonly #closers: (() => unknown)[] = [];

  /** Adds `resource`, and returns it. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Adds what is to be done. */
  defer(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Lets go of everything, whatever fails meanwhile; rejects with the first failure. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
