/** Has a doctor look for what is wrong, and prints what it found. */
import type { Check } from '../doctor/check.js';
import { checkLines, failureOf } from '../doctor/report.js';
import { JsonPrinter } from '../ui/json-printer.js';
import { safeText } from '../ui/safe-text.js';
import type { OutputMode } from '../ui/watcher.js';
import type { World } from './world.js';

/** @param tell gets all checks, once */
export type Doctor<Options> = (
  options: Options,
  stayMs: number,
  tell: (checks: Check[]) => void,
  signal: AbortSignal,
) => Promise<void>;

function print(checks: readonly Check[], mode: OutputMode, world: World): void {
  if (mode === 'quiet') return;
  if (mode === 'text') {
    for (const line of checkLines(checks)) world.stdout.write(`${safeText(line, 1000)}\n`);
    return;
  }
  const printer = new JsonPrinter<{ type: 'check' } & Check>(world.stdout, world.wallClock);
  for (const check of checks) printer.observe({ type: 'check', ...check });
}

/** @throws Failure of kind 'unwell' with the first cause, if anything is wrong */
export async function consult<Options>(
  doctor: Doctor<Options>,
  options: Options,
  stayMs: number,
  mode: OutputMode,
  world: World,
  signal: AbortSignal,
): Promise<void> {
  let told: readonly Check[] | null = null;
  const tell = (checks: Check[]): void => {
    told = checks;
    print(checks, mode, world);
  };
  try {
    await doctor(options, stayMs, tell, signal);
  } catch (error) {
    // Once the list is printed, a signal only ends the answering of others. Before, whatever it
    // broke off says so in its own way.
    if (!signal.aborted) throw error;
    if (told === null) throw signal.reason;
  }
  const failure = failureOf(told ?? []);
  if (failure !== null) throw failure;
}
