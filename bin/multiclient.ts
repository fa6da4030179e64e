#!/usr/bin/env node
import { multiclient } from '../src/cli/multiclient.js';
import { main } from '../src/cli/program.js';
import { realWorld } from '../src/cli/world.js';

main(multiclient, realWorld());
