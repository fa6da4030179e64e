import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cutToWidth, displayWidth, padToWidth } from '../../src/ui/display-width.js';
import { safeText } from '../../src/ui/safe-text.js';
import { fitStatus, wrapWords } from '../../src/ui/terminal-printer.js';

test('a text is as wide as a terminal draws it', () => {
  const widths: Record<string, number> = {
    'pc-07': 5,
    'B\u00fcro': 4,
    // The same with a mark of its own.
    'Bu\u0308ro': 4,
    '\u65e5\u672c\u8a9e': 6,
    '\uff21\uff11': 4,
    '\uff76\uff9e': 2,
    '\uac15\uc758\uc2e4': 6,
    // One syllable of three letters.
    '\u1100\u1161\u11a8': 2,
    '\u304b\u3099': 2,
    '\u{20000}': 2,
    '\u{1f5a5}\ufe0f': 3,
    '\u{1f680}': 2,
    '\u0e17\u0e35\u0e48': 1,
    '\u0440\u043e\u03c3': 3,
    '\ufffd': 1,
  };
  for (const [text, width] of Object.entries(widths)) assert.equal(displayWidth(text), width, text);
});

test('no character is cut in two, and none loses its mark', () => {
  assert.equal(cutToWidth('a\u65e5b', 2), 'a');
  assert.equal(cutToWidth('a\u65e5b', 3), 'a\u65e5');
  assert.equal(cutToWidth('u\u0308x', 1), 'u\u0308');
  assert.equal(cutToWidth('\u{20000}\u{20001}', 3), '\u{20000}');
  assert.equal(safeText('\u65e5'.repeat(20), 12), `${'\u65e5'.repeat(4)}...`);
  assert.doesNotMatch(safeText('\u{1f680}'.repeat(20), 12), /\p{Cs}/u);
});

test('whatever a text is, it is cut and padded to its columns', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
      const cut = cutToWidth(text, columns);
      assert(text.startsWith(cut) && displayWidth(cut) <= columns);
      assert.equal(displayWidth(padToWidth(cut, columns)), columns);
      assert(displayWidth(safeText(text, columns + 3)) <= columns + 3);
    }),
  );
});

test('a status and lines of words go by columns, too', () => {
  const name = '\u6559\u5ba4'.repeat(12);
  const parts = [
    { text: 'sending', rank: 1 },
    { text: name, rank: 2 },
  ];
  assert.equal(fitStatus({ state: '', parts, ratio: undefined }, 57), 'sending');
  assert.equal(fitStatus({ state: '', parts, ratio: undefined }, 58), `sending  ${name}`);
  assert.equal(
    fitStatus({ state: '', parts: [parts[1]!], ratio: undefined }, 10),
    name.slice(0, 4),
  );
  assert.deepEqual(wrapWords(`${name.slice(0, 9)} ${name.slice(0, 9)}`, 30), [
    name.slice(0, 9),
    `  ${name.slice(0, 9)}`,
  ]);
});
