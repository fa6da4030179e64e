/** Cases that the fuzzer found and that were mended since: see `test/fuzz/`. */

import { test } from 'node:test';
import { FUZZ_CASES } from '../fuzz/cases.js';
import { ClientTarget } from '../fuzz/client-target.js';
import { DecoderTarget } from '../fuzz/decoder-target.js';
import { Fuzzer } from '../fuzz/fuzzer.js';
import { ServerTarget } from '../fuzz/server-target.js';
import { Random } from '../sim/random.js';

const targets = [new DecoderTarget(new Random(1)), new ClientTarget(), new ServerTarget()];

for (const { target: wanted, about, steps } of FUZZ_CASES) {
  test(`${wanted}: ${about}`, () => {
    targets.find(({ name }) => name === wanted)!.run(steps);
  });
}

for (const target of targets) {
  test(`the fuzzer finds nothing in its first cases (${target.name})`, () => {
    const fuzzer = new Fuzzer(target, new Random(20, target.name), null);
    for (let count = 0; count < 60; count++) {
      const finding = fuzzer.once();
      if (finding !== null) throw new Error(`${finding.message}\n${finding.steps.join('\n')}`);
    }
  });
}
