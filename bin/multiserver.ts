#!/usr/bin/env node
import { multiserver } from '../src/cli/multiserver.js';
import { main } from '../src/cli/program.js';
import { realWorld } from '../src/cli/world.js';

main(multiserver, realWorld());
