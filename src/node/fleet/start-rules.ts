/** What a server waits for before it sends anything, as its operator asked. */
import type { StartRules } from '../../server/start-gate.js';

export interface StartOptions {
  waitFor: number | undefined;
  waitMs: number | undefined;
  /** Milliseconds since 1970. */
  startAtMs: number | undefined;
  hold: boolean;
}

/**
 * @param atMs now, on the session's clock
 * @param sinceEpochMs now, since 1970
 * @returns null when nothing is waited for
 */
export function startRulesOf(
  { waitFor, waitMs, startAtMs, hold }: StartOptions,
  atMs: number,
  sinceEpochMs = Date.now(),
): StartRules | null {
  const isHeld = hold || waitFor !== undefined || waitMs !== undefined || startAtMs !== undefined;
  if (!isHeld) return null;
  const startsMs = startAtMs === undefined ? undefined : atMs + startAtMs - sinceEpochMs;
  return { clients: waitFor, waitMs, atMs: startsMs };
}
