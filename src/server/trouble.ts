/** How much a machine needs its operator's eye: what the table and the page put first. */
import type { ServedClient } from './events.js';

/** Loss below this is the network's ordinary life. */
const NOTABLE_LOSS = 0.005;
/** What is added up of these stays below silence. */
const LEVEL = { failed: 5, silent: 4, left: 1, lossy: 1 } as const;

/**
 * @param holdsCopy whatever its client does now, the machine needs no help
 * @returns 0 for none; the higher, the sooner it should be looked at
 */
export function troubleOf(client: ServedClient, holdsCopy: boolean): number {
  const { state, followed, lossRatio } = client;
  if (holdsCopy || state === 'done' || state === 'compared') return 0;
  if (state === 'failed') return LEVEL.failed;
  if (state === 'silent') return LEVEL.silent;
  const loss = lossRatio >= NOTABLE_LOSS ? LEVEL.lossy + lossRatio : 0;
  return loss + (followed ? 0 : LEVEL.left);
}
