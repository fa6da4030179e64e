/** The last look of whoever sits at the terminal, before a device is overwritten. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TargetPlan } from './target-plan.js';

/**
 * Says what is about to be overwritten, and waits.
 * @param seconds 0 for no waiting: nobody is there to look, or said yes before
 * @throws the signal's reason
 */
export async function countDown(
  plan: TargetPlan,
  imageName: string,
  seconds: number,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (seconds === 0 || plan.kind !== 'device') return;
  const deed = plan.holdsEarlierData ? 'brought up to date with' : 'OVERWRITTEN with';
  const text = `${plan.path} is about to be ${deed} '${imageName}': ${plan.description}`;
  tell(`${text}. Ctrl-C within ${seconds} seconds leaves it as it is (--yes asks for no time)`);
  await sleep(seconds * 1000, undefined, { signal });
}
