/** Opens what is to be served: as it is, or as what it contains when it is stored compressed. */
import { Failure } from '../../failure.js';
import type { ServerEvent } from '../../server/events.js';
import { openSource, type Source } from './source.js';
import { packingOf, unpack } from './unpack.js';

/** @throws Failure when it cannot be served */
export async function openImage(
  path: string,
  isServedAsIs: boolean,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<Source> {
  const packing = isServedAsIs ? null : packingOf(path);
  if (packing === null) return openSource(path);
  observe({ type: 'unpacking', ratio: 0, sizeBytes: 0 });
  const report = (ratio: number, sizeBytes: number) =>
    observe({ type: 'unpacking', ratio, sizeBytes });
  const { fd, name, sizeBytes, dataBytes, folder } = await unpack(path, packing, report, signal);
  if (sizeBytes === 0) {
    throw new Failure('source', 'EMPTY', `${path} contains nothing: there is nothing to serve`);
  }
  observe({ type: 'unpacked', name, sizeBytes, dataBytes, folder });
  return { fd, path, name, sizeBytes };
}
