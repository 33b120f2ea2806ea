/** The log of `fed up`: structured lines on stderr, without secrets. */
import { type Logger as HubLogger, redact, redactText } from "@fed/hub";
import { type DestinationStream, type Logger, pino } from "pino";

/** How lines look: an object each, or text for people. */
export type LogFormat = "json" | "pretty";

/** Where lines of this format go. */
export async function logDestination(format: LogFormat): Promise<DestinationStream> {
  if (format === "json") return pino.destination({ dest: 2, sync: true });
  const { default: pretty } = await import("pino-pretty");
  return pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY === true, ignore: "pid,hostname" });
}

/** `logger` as the hub wants it: a line for each call is only made for those who want to read it. */
export function hubLogger(logger: Logger): HubLogger {
  return {
    info: (facts, message) => logger.info(facts, message),
    warn: (facts, message) => logger.warn(facts, message),
    ...(logger.isLevelEnabled("debug") && {
      debug: (facts: object, message: string) => logger.debug(facts, message),
    }),
  };
}

/** A pino logger of this level; every fact and every text goes through the hub's redaction. */
export function createLogger(
  level: string,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      formatters: { log: (facts) => redact(facts) as Record<string, unknown> },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((each) => (typeof each === "string" ? redactText(each) : each)) as typeof args);
        },
      },
    },
    destination,
  );
}
