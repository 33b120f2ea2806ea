/** One address may be known from several sources: it is withdrawn when the last of them has withdrawn it. */
import type { Candidate } from "@fed/core";

/** Hands on what it is given, but a withdrawal only when no other source still names that address. */
export function joinSources(onCandidate: (candidate: Candidate) => void): (candidate: Candidate) => void {
  const sources = new Map<string, Set<Candidate["source"]>>();
  return (candidate) => {
    const { address, source, present } = candidate;
    const naming = sources.get(address) ?? new Set();
    if (present) {
      sources.set(address, naming.add(source));
    } else {
      naming.delete(source);
      if (naming.size > 0) return;
      sources.delete(address);
    }
    onCandidate(candidate);
  };
}
