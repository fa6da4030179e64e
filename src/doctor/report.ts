/** A list of checks, for people and for programs. */
import { Failure } from '../failure.js';
import { type Check, firstCause, type Verdict } from './check.js';

const MARKS: Record<Verdict, string> = { ok: '✓', wrong: '✗', unknown: '–' };

/** Lines of text: each check, and below what is wrong the command that mends it. */
export function checkLines(checks: readonly Check[]): string[] {
  return checks.flatMap(({ verdict, question, finding, remedy }) => {
    const line = `${MARKS[verdict]} ${question} ${finding}`;
    return remedy === null ? [line] : [line, `    mend it: ${remedy}`];
  });
}

/** @returns what ends a run of the doctor that found something wrong; null when all is well */
export function failureOf(checks: readonly Check[]): Failure | null {
  const first = firstCause(checks);
  if (first === null) return null;
  const { id, finding, remedy } = first;
  return new Failure('unwell', 'UNWELL', `first cause, ${id}: ${finding}; ${remedy}`);
}
