/** The digest that the programs use, for tests that make block maps. */

import { loadBlake3 } from '../src/node/system/blake3.js';

export const digestOf = await loadBlake3();
