import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Allowance } from '../../src/server/allowance.js';

test('property: whatever a client says it has, what it may cause is bounded', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.array(fc.nat(), { maxLength: 200 }),
      (chunks, claims) => {
        const allowance = new Allowance(chunks);
        let caused = 0;
        for (let round = 0; !allowance.isSpent(round); round++) {
          allowance.noteHad(Math.min(chunks, claims[round % (claims.length + 1)] ?? 0));
          allowance.spend(chunks, round);
          caused += chunks;
        }
        assert.ok(caused <= 64 + (8 + 64 + 1) * chunks, `${caused} of ${chunks}`);
      },
    ),
  );
});

test('a client that gains a fiftieth of each pass is served to its end', () => {
  const chunks = 5000;
  const allowance = new Allowance(chunks);
  for (let had = 0; had < chunks; had += chunks / 50) {
    assert.equal(allowance.isSpent(had), false, `at ${had}`);
    allowance.spend(chunks - had, had);
    allowance.noteHad(had + chunks / 50);
  }
});
