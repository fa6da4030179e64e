import { doctorServer } from '../node/doctor/server-doctor.js';
import type { ServerOptions } from '../node/options.js';
import { runServerAndBoot } from '../node/run-server-and-boot.js';
import type { ServerEvent } from '../server/events.js';
import { ServerNarrator } from '../ui/server-narrator.js';
import { ServerLeavings } from './going-on.js';
import type { Program } from './program.js';
import { parseServerCommandLine } from './server-options.js';

export const multiserver: Program<ServerOptions, ServerEvent> = {
  name: 'multiserver',
  parse: parseServerCommandLine,
  narrate: (now) => new ServerNarrator(now),
  doctor: doctorServer,
  leavings: () => new ServerLeavings(),
  run: runServerAndBoot,
};
