/** A client's whole run: the copy, and what was asked for afterwards (`--fit`, `--then`). */
import type { ClientEvent } from '../client/events.js';
import type { ClientOptions } from './options.js';
import { runClient } from './run-client.js';
import { tellBehindImage } from './target/after-copy.js';
import { fitToDisk, requireMover } from './target/fit.js';
import { type FinishedCopy, runThen } from './target/then.js';

/** Puts together what the events of a run tell of its copy. */
class CopyReader {
  isProven = false;
  readonly copy: FinishedCopy = { target: '', image: '', imageBytes: 0, mapId: '', interface: '' };

  note(event: ClientEvent): void {
    const { copy } = this;
    if (event.type === 'listening') {
      copy.interface = event.interface;
    } else if (event.type === 'server-found') {
      copy.image = event.image.name;
      copy.imageBytes = event.image.sizeBytes;
    } else if (event.type === 'target') {
      copy.target = event.path;
    } else if (event.type === 'proven') {
      copy.mapId = event.mapId;
      this.isProven = true;
    }
  }
}

/** @throws Failure of the copy, or of kind 'afterwards' once that is proven */
export async function runClientAndThen(
  options: ClientOptions,
  observe: (event: ClientEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { fit, thenCommand } = options;
  if (fit) requireMover();
  const reader = new CopyReader();
  const note = (event: ClientEvent): void => {
    reader.note(event);
    observe(event);
  };
  const plan = await runClient(options, note, signal);
  // `--check` and `--dry-run` make no copy.
  if (!reader.isProven) return;
  const { copy } = reader;
  const tell = (text: string): void => observe({ type: 'notice', text });
  if (fit) {
    for (const text of await fitToDisk(copy.target)) tell(text);
    const starts = plan?.partitionStarts ?? [];
    for (const text of tellBehindImage(copy.target, copy.imageBytes, starts)) tell(text);
  }
  if (thenCommand !== undefined) await runThen(thenCommand, copy, tell, signal);
}
