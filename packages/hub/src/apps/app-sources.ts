/** Where a hub's apps come from: those it was given by its program, and an `mcpServers` file that is watched while it runs. */
import { type FSWatcher, realpathSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { type Clock, type FedError, type Timer, toFedError } from "@fed/core";
import { HubError } from "../errors.js";
import type { Logger } from "../options.js";
import { type AppConfig, readAppConfig } from "./app-config.js";
import type { AppHost } from "./app-host.js";

type Apps = Readonly<Record<string, AppConfig>>;

/** How the `mcpServers` file of a hub is. */
export interface AppConfigFile {
  readonly path: string;
  /** When what is in force was read, Unix milliseconds. */
  readonly readAtMs: number;
  /** Why the file as it is now is not in force; absent when it is. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Options of {@link AppSources}. */
export interface AppSourcesOptions {
  readonly host: AppHost;
  readonly given: Apps;
  /** Default none. */
  readonly file?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Editors write a file in several steps. */
const settleMs = 100;
/** Where the system does not tell of changes, e.g. on a network share, they are looked for. */
const lookMs = 5_000;

/** See the module header. */
export class AppSources implements AsyncDisposable {
  readonly #options: AppSourcesOptions;
  #given: Apps;
  #read: Apps = {};
  #readAtMs = 0;
  /** What the file was when it was read last: inode, size and times. */
  #seen = "";
  #error: FedError | undefined;
  readonly #watchers: FSWatcher[] = [];
  #look: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: AppSourcesOptions) {
    this.#options = options;
    this.#given = options.given;
  }

  /** Puts the apps in force and begins to watch. @throws {HubError} APP_CONFIG_INVALID. */
  async open(): Promise<void> {
    const { file, host } = this.#options;
    if (file !== undefined) {
      this.#seen = identity(file);
      this.#take(readAppConfig(file));
    }
    await host.configure(merged(this.#given, this.#read));
    if (file === undefined) return;
    for (const folder of foldersOf(file)) this.#watch(folder);
    this.#lookIn(lookMs);
  }

  /** Replaces the apps that were given; those of the file stay. @throws {HubError} APP_CONFIG_INVALID; nothing has changed then. */
  async configure(given: Apps): Promise<void> {
    await this.#options.host.configure(merged(given, this.#read));
    this.#given = given;
  }

  /** Undefined for a hub without a file. */
  file(): AppConfigFile | undefined {
    const { file: path } = this.#options;
    if (path === undefined) return undefined;
    const error = this.#error && { code: this.#error.code, message: this.#error.message };
    return { path, readAtMs: this.#readAtMs, ...(error && { error }) };
  }

  /** Watches no more; the apps are none of its business. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#look?.cancel();
    for (const watcher of this.#watchers) watcher.close();
    await this.#reading;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(apps: Apps): void {
    this.#read = apps;
    this.#readAtMs = this.#options.clock.nowMs();
    this.#error = undefined;
  }

  /** The folder, not the file: editors put a new file in the place of the old one. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookIn(settleMs));
      watcher.on("error", () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // It is looked for changes all the same.
    }
  }

  #lookIn(afterMs: number): void {
    if (this.#closed) return;
    this.#look?.cancel();
    this.#look = this.#options.clock.setTimer(afterMs, () => {
      this.#reading = this.#reading.then(() => this.#reload()).finally(() => this.#lookIn(lookMs));
    });
  }

  async #reload(): Promise<void> {
    const { host, log } = this.#options;
    const file = this.#options.file!;
    const now = identity(file);
    if (this.#closed || now === this.#seen) return;
    this.#seen = now;
    try {
      const apps = readAppConfig(file);
      await host.configure(merged(this.#given, apps));
      this.#take(apps);
      log.info({ file, apps: Object.keys(apps) }, "the apps of the mcpServers file are in force");
    } catch (cause) {
      this.#error = toFedError(cause);
      const { code, message } = this.#error;
      log.warn({ file, code, message }, "the mcpServers file is not in force; the apps run on as before");
    }
  }
}

/** @throws {HubError} APP_CONFIG_INVALID for an app that is in both. */
function merged(given: Apps, read: Apps): Apps {
  for (const name of Object.keys(read)) {
    if (!Object.hasOwn(given, name)) continue;
    throw new HubError({
      code: "APP_CONFIG_INVALID",
      message: `App ${name} of the mcpServers file is one of the hub's program, too.`,
      hint: "Give one of them another name.",
    });
  }
  return { ...given, ...read };
}

function identity(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return [ino, size, mtimeMs, ctimeMs].join();
  } catch (cause) {
    return String((cause as NodeJS.ErrnoException).code);
  }
}

function foldersOf(path: string): ReadonlySet<string> {
  return new Set([dirname(path), dirname(realpathSync(path))]);
}
