import type { ClientEvent } from '../client/events.js';
import { doctorClient } from '../node/doctor/client-doctor.js';
import type { ClientOptions } from '../node/options.js';
import { runClientAndThen } from '../node/run-client-and-then.js';
import { ClientNarrator } from '../ui/client-narrator.js';
import { parseClientCommandLine } from './client-options.js';
import { ClientLeavings } from './going-on.js';
import type { Program } from './program.js';

export const multiclient: Program<ClientOptions, ClientEvent> = {
  name: 'multiclient',
  parse: parseClientCommandLine,
  narrate: (now) => new ClientNarrator(now),
  doctor: async (options, _, tell, signal) => tell(await doctorClient(options, signal)),
  leavings: () => new ClientLeavings(),
  run: runClientAndThen,
};
