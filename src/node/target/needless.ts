/** Options that do nothing for the target at hand: whoever gave one may have meant another. */
import type { TargetPlan } from './target-plan.js';

/** @returns what to tell the operator */
export function needlessText(
  { kind, path, holdsEarlierData }: TargetPlan,
  { discard, wipeFree }: { discard: boolean; wipeFree: boolean },
): string | null {
  if (kind !== 'file') return null;
  const nothing = `does nothing here: ${path} is a file, and`;
  if (discard) return `--discard ${nothing} only devices have anything to discard`;
  if (wipeFree && !holdsEarlierData) {
    return `--wipe-free ${nothing} a new one has zeros where nothing is written`;
  }
  return null;
}
