/** Whose call an app means when its words do not say: over one pipe, log messages and questions name no request. */

/** Of those it may concern, the one under way for longest, unless that could be somebody else's call. */
export function soleOwner<T extends { readonly principal: string }>(candidates: Iterable<T>): T | undefined {
  let first: T | undefined;
  for (const candidate of candidates) {
    first ??= candidate;
    if (candidate.principal !== first.principal) return undefined;
  }
  return first;
}
