/** The log of `fed up`: structured lines on stderr, without secrets. */
import { redact, redactText } from "@fed/hub";
import { type DestinationStream, type Logger, pino } from "pino";

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
