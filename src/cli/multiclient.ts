import type { ClientEvent } from '../client/events.js';
import type { ClientOptions } from '../node/options.js';
import { runClient } from '../node/run-client.js';
import { ClientNarrator } from '../ui/client-narrator.js';
import { parseClientCommandLine } from './client-options.js';
import type { Program } from './program.js';

export const multiclient: Program<ClientOptions, ClientEvent> = {
  name: 'multiclient',
  parse: parseClientCommandLine,
  narrate: (now) => new ClientNarrator(now),
  run: runClient,
  whenStopped: 'the copy is not complete; start multiclient again to finish it',
};
