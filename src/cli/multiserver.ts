import type { ServerOptions } from '../node/options.js';
import { runServer } from '../node/run-server.js';
import type { ServerEvent } from '../server/events.js';
import { ServerNarrator } from '../ui/server-narrator.js';
import type { Program } from './program.js';
import { parseServerCommandLine } from './server-options.js';

export const multiserver: Program<ServerOptions, ServerEvent> = {
  name: 'multiserver',
  parse: parseServerCommandLine,
  narrate: (now) => new ServerNarrator(now),
  run: runServer,
  whenStopped: 'clients without a proven copy wait for the server to come back',
};
