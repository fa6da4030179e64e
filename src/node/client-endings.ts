/** What is said at the end of a run that wrote nothing. */
import type { ClientProgress } from '../client/events.js';
import { Failure } from '../failure.js';
import type { TargetPlan } from './target/target-plan.js';

/** What would be done with a target that can take the image. */
export function dryRunText({ path, holdsEarlierData }: TargetPlan, sizeBytes: number): string {
  const deed = holdsEarlierData
    ? 'what differs there would be brought up to date'
    : 'all of it would be overwritten';
  return `dry run: ${path} can take the image of ${sizeBytes} bytes; ${deed}; nothing was written`;
}

/** @returns why a target that was compared is no copy, or null when it is one */
export function differsFailure(
  path: string,
  progress: ClientProgress,
  hasRightSize: boolean,
): Failure | null {
  const advice = 'run again with --resume to mend it';
  if (progress.differingChunks > 0) {
    const found = `${progress.differingChunks} of ${progress.chunkCount} chunks differ`;
    return new Failure(
      'differs',
      'DIFFERS',
      `${path} is not a copy of the image: ${found}; ${advice}`,
    );
  }
  if (hasRightSize) return null;
  return new Failure(
    'differs',
    'DIFFERS',
    `${path} holds the image but has another size; ${advice}`,
  );
}
