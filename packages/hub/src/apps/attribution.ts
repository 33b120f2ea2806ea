/** Whose call an app means when its words do not say: over one pipe, log messages and questions name no request. */

/** Who asked for something that is under way. */
interface Asked {
  /** "" for what the hub itself asks: nothing an app says concerns it. */
  readonly principal: string;
}

/** Whether it could be the call of more than one operator. */
export function areSeveral(underWay: readonly Asked[]): boolean {
  return new Set(underWay.map(({ principal }) => principal).filter(Boolean)).size > 1;
}

/**
 * Of `underWay` the one for longest that `fits`, unless it could be somebody else's call: that somebody else cannot be told or
 * asked something is no sign of who is meant.
 */
export function soleOwner<T extends Asked>(underWay: readonly T[], fits: (call: T) => boolean): T | undefined {
  return areSeveral(underWay) ? undefined : underWay.find((call) => call.principal !== "" && fits(call));
}
