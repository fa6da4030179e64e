/** What is said at the end of a run that wrote nothing. */
import type { ClientProgress } from '../client/events.js';
import { Failure } from '../failure.js';
import type { Run } from '../protocol/run.js';
import { formatBytes } from '../sizes.js';
import { shortRoomText } from './target/room.js';
import type { TargetPlan } from './target/target-plan.js';

/** What would be done with a target that can take the image. */
export function dryRunText(plan: TargetPlan, sizeBytes: number, mapId: string | null): string {
  const { path } = plan;
  const id = mapId === null ? 'its map is still being made' : `image ${mapId}`;
  const image = `the image of ${formatBytes(sizeBytes)} (${id})`;
  const shortage = shortRoomText(plan, sizeBytes);
  const verdict =
    shortage === null
      ? `${path} can take ${image}`
      : `${path} can take ${image} only if enough of it is zeros: ${shortage}`;
  return `dry run: ${verdict}; ${deedOf(plan, sizeBytes)}; nothing was written`;
}

function deedOf(plan: TargetPlan, sizeBytes: number): string {
  const { kind, holdsEarlierData, inherits, roomBytes } = plan;
  if (holdsEarlierData) return 'what differs there would be brought up to date';
  if (kind === 'file') {
    return inherits === null
      ? 'it would be a new file'
      : 'the file that is there would be replaced';
  }
  const restBytes = (roomBytes ?? sizeBytes) - sizeBytes;
  if (restBytes === 0) return 'all of it would be overwritten';
  return (
    `its first ${formatBytes(sizeBytes)} would be overwritten, and the ` +
    `${formatBytes(restBytes)} behind them would stay as they are`
  );
}

/**
 * @param differing which chunks do
 * @param table chunks in which the partition table lies, if `--fit` has changed it; else null
 * @returns why a target that was compared is no copy, or null when it is one
 */
export function differsFailure(
  path: string,
  progress: ClientProgress,
  hasRightSize: boolean,
  differing: readonly Run[],
  table: ReadonlySet<number> | null,
): Failure | null {
  const fail = (text: string): Failure => new Failure('differs', 'DIFFERS', `${path} ${text}`);
  const advice = 'run again with --resume to mend it';
  if (progress.differingChunks > 0) {
    const { differingChunks, chunkCount } = progress;
    const verb = differingChunks === 1 ? 'differs' : 'differ';
    const found = `${differingChunks} of ${chunkCount} chunks ${verb}`;
    const counted = `is not a copy of the image: ${found}`;
    if (table === null) return fail(`${counted}; ${advice}`);
    const undoes = '--resume alone would undo the fit';
    if (!liesWithin(differing, table)) {
      return fail(
        `${counted}, and not only where --fit has changed its partition table; run ` +
          `again with --resume --fit to mend it (${undoes})`,
      );
    }
    return fail(
      `${counted}, but only where its partition table lies, which --fit has changed ` +
        "(the second GPT is at this larger disk's end); a fitted copy looks like this, but what " +
        'else these chunks hold is not proven. To prove them as well, run again with ' +
        `--resume --fit; ${undoes}`,
    );
  }
  if (hasRightSize) return null;
  return fail(`holds the image but has another size; ${advice}`);
}

function liesWithin(runs: readonly Run[], chunks: ReadonlySet<number>): boolean {
  return runs.every(({ first, count }) => {
    if (count > chunks.size) return false;
    return Array.from({ length: count }, (_, index) => first + index).every((chunk) =>
      chunks.has(chunk),
    );
  });
}
