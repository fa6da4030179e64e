/** The Enter key on the terminal that a program is in front of. */
import { readFileSync } from 'node:fs';
import { Failure } from '../../failure.js';
import type { StartOptions } from './start-rules.js';

interface HoldOptions extends StartOptions {
  startsOnEnter: boolean;
  /** Where the fleet page is. */
  web: unknown;
}

const UP = '\u001b[1A';

/** Whether this process may read its terminal: one in the background would be stopped for it. */
function isInForeground(): boolean {
  try {
    // The program's name, in parentheses, may contain anything. Then: state, parent, group, ...
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[2] === fields[5];
  } catch {
    return false;
  }
}

const hasTerminal = (): boolean => process.stdin.isTTY === true && isInForeground();

/**
 * @throws Failure when a stream is held that nobody could ever start: no Enter key, no page, and no
 *   rule
 */
export function refuseDeafHold(options: HoldOptions): void {
  const { hold, startsOnEnter, web, waitFor, waitMs, startAtMs } = options;
  const starts = [web, waitFor, waitMs, startAtMs].some((value) => value !== undefined);
  if (!hold || !startsOnEnter || starts || hasTerminal()) return;
  const text =
    '--hold waits until Enter is pressed, and there is no terminal to press it on (standard ' +
    'input is none, or the program runs in the background); add --web PORT to start from the ' +
    'page, or --wait-for, --wait or --start-at to start by itself';
  throw new Failure('usage', 'USAGE', text);
}

export class EnterKey {
  private readonly onData: () => void;

  private constructor(onPress: () => void) {
    this.onData = () => {
      // The terminal shows the key as a new line: back to where the status is rewritten.
      if (process.stderr.isTTY) process.stderr.write(UP);
      onPress();
    };
    process.stdin.on('data', this.onData);
  }

  /** @returns null where standard input is no terminal of ours */
  static listen(onPress: () => void): EnterKey | null {
    return hasTerminal() ? new EnterKey(onPress) : null;
  }

  close(): void {
    process.stdin.off('data', this.onData);
    process.stdin.pause();
  }
}
