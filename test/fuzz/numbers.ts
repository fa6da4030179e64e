/** Numbers and runs for fields of packets: mostly sensible, now and then at a boundary. */

import type { Random } from '../sim/random.js';

/** Below `limit` mostly, else anything of 32 bits or less that the field can hold. */
export function number(random: Random, limit: number): number {
  if (random.chance(0.8)) return random.below(limit);
  const largest = limit > 65_536 ? 0xffffffff : 65_535;
  return random.pick([0, 1, limit - 1, limit, limit + 1, largest - 1, largest]) % (largest + 1);
}

/** Ascending runs around `limit`; seldom one that goes on to the end of what the field holds. */
export function runs(
  random: Random,
  limit: number,
  fieldLimit: number,
): { first: number; count: number }[] {
  const made: { first: number; count: number }[] = [];
  let end = 0;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const first = end + random.below(limit);
    const count = 1 + random.below(limit);
    made.push({ first, count });
    end = first + count;
  }
  const last = made.at(-1)!;
  if (random.chance(0.1)) last.count = fieldLimit - 1 - random.below(2) * last.first;
  return made;
}
