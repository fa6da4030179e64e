/** `--used-only`: what of a source its file systems use, told as it is found out. */

import type { UsedMap } from '../../image/used-map.js';
import type { ServerEvent } from '../../server/events.js';
import { loadNative } from '../system/native.js';
import { readUsed } from '../used/read-used.js';
import type { Source } from './source.js';
import { writerOf } from './source-use.js';

interface FindUsedOptions {
  usedOnly: boolean;
  /** Send whole what cannot be told, instead of refusing it. */
  force: boolean;
}

/**
 * @returns null when all of it is to be sent, whatever it is
 * @throws Failure when it cannot be told
 */
export async function findUsed(
  source: Source,
  { usedOnly, force }: FindUsedOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<UsedMap | null> {
  if (!usedOnly) return null;
  const { map, rows } = await readUsed(
    source,
    { force, writer: writerThere(source) },
    (doneCount, partCount) => observe({ type: 'reading-used', doneCount, partCount }),
    signal,
  );
  observe({ type: 'used', parts: rows, usedBytes: map.usedBytes, sizeBytes: map.sizeBytes });
  return map;
}

/** Who may write to the source all the same, as a clause: `--force` lets that pass. */
function writerThere({ fd, path, isUnpacked, hasUnseenUser }: Source): string | null {
  if (isUnpacked) return null;
  const writer = writerOf(path);
  if (writer !== null) return writer.text;
  if (hasUnseenUser) return 'somebody who cannot be seen from here has claimed it';
  return loadNative()?.isOpenForWriting(fd) === true ? 'a program has it open for writing' : null;
}
