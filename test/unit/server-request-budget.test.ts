import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestBudget } from '../../src/server/clients/request-budget.js';

test('property: whatever a client says it has, what it may cause is bounded', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.array(fc.nat(), { maxLength: 200 }),
      (chunks, claims) => {
        const budget = new RequestBudget(chunks);
        let caused = 0;
        for (let round = 0; !budget.isSpent(round); round++) {
          budget.noteHad(Math.min(chunks, claims[round % (claims.length + 1)] ?? 0));
          budget.spend(chunks, round);
          caused += chunks;
        }
        assert.ok(caused <= 64 + (8 + 64 + 1) * chunks, `${caused} of ${chunks}`);
      },
    ),
  );
});

test('a client that gains a fiftieth of each pass is served to its end', () => {
  const chunks = 5000;
  const budget = new RequestBudget(chunks);
  for (let had = 0; had < chunks; had += chunks / 50) {
    assert.equal(budget.isSpent(had), false, `at ${had}`);
    budget.spend(chunks - had, had);
    budget.noteHad(had + chunks / 50);
  }
});
