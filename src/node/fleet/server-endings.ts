/** What a server's run is called that ended by itself, but not as it was to. */
import { Failure } from '../../failure.js';
import type { FleetMember } from '../../server/events.js';

/** Machines that are named in one sentence. */
const MAX_NAMED = 10;

export interface Ending {
  /** How many machines were waited for; 0 for no number. */
  wantedCount: number;
  doneCount: number;
  /** Machines that came. */
  withoutCopy: readonly FleetMember[];
  /** Expected machines without a copy, as the operator named them. */
  lacking: readonly string[];
  /** Who is silent for so long is waited for no longer. */
  goneAfterMs: number;
}

/** @returns why not all hold copies that were waited for; null when they do */
export function incompleteFailure(ending: Ending): Failure | null {
  const { wantedCount, doneCount, lacking } = ending;
  if (doneCount >= wantedCount && lacking.length === 0) return null;
  const names = namesWithout(ending);
  const named = names.slice(0, MAX_NAMED).join(', ');
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  const who = names.length === 0 ? '' : `; without one: ${named}${more}`;
  const others = doneCount === 0 ? 'them' : 'the others';
  const text = `${countText(ending)}${who}; to serve ${others}, start multiserver again`;
  return new Failure('incomplete', 'INCOMPLETE', text);
}

function countText({ wantedCount, doneCount }: Ending): string {
  if (doneCount >= wantedCount) {
    if (doneCount === 0) return 'no machine holds a copy, though some were expected';
    const who = doneCount === 1 ? '1 machine holds' : `${doneCount} machines hold`;
    return `${who} a copy, but not all that were expected`;
  }
  if (wantedCount === 1) return 'the machine that was waited for holds no copy';
  const all = `the ${wantedCount} machines that were waited for`;
  if (doneCount === 0) return `none of ${all} holds a copy`;
  return `only ${doneCount} of ${all} ${doneCount === 1 ? 'holds' : 'hold'} a copy`;
}

function namesWithout({ withoutCopy, lacking, goneAfterMs }: Ending): string[] {
  const known = new Set<string>();
  const came = withoutCopy.map((member) => {
    const { host, label } = member;
    for (const name of [host, label]) known.add(name.toLowerCase());
    return `${label === '' ? host : label} (${wordFor(member, goneAfterMs)})`;
  });
  return [...came, ...lacking.filter((name) => !known.has(name.toLowerCase()))];
}

function wordFor({ state, isReleased, silentMs }: FleetMember, goneAfterMs: number): string {
  if (state === 'failed') return 'failed or stopped';
  if (isReleased) return 'released';
  return silentMs >= goneAfterMs ? 'silent' : 'under way';
}
