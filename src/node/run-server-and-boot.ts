/** A server's whole run: the image, and with `--netboot` what machines start from. */
import type { ServerEvent } from '../server/events.js';
import { Netboot } from './netboot/netboot.js';
import type { ServerOptions } from './options.js';
import { runServer } from './run-server.js';

const NO_KEY =
  'machines that start from here have no key, and it must not travel: bring it on a USB stick, ' +
  'and name its file with --netboot-words "multiclient.key=FILE"';

export async function runServerAndBoot(
  options: ServerOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const isServing = !options.prepareOnly && options.newKey === undefined;
  if (options.netboot === null || !isServing) {
    await runServer(options, observe, signal);
    return;
  }
  // Without one of the two, the other is no use.
  const ending = new AbortController();
  const stop = (): void => ending.abort(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const netboot = new Netboot(options.netboot, options, observe, (failure) => {
    ending.abort(failure);
  });
  // The last word is said when all is over.
  let last: ServerEvent | null = null;
  const note = (event: ServerEvent): void => {
    if (event.type === 'ended') last = event;
    else observe(event);
    netboot.note(event);
  };
  if (options.keyFile !== undefined && !/\bmulticlient\.key=/.test(options.netboot.extraWords)) {
    observe({ type: 'notice', text: NO_KEY });
  }
  try {
    await runServer(options, note, ending.signal).finally(() =>
      netboot.awaitMachines(ending.signal),
    );
  } finally {
    signal.removeEventListener('abort', stop);
    await netboot.close();
    if (last !== null) observe(last);
  }
}
