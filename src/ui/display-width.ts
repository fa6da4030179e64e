/**
 * How many columns of a terminal a text takes. Names may be in scripts whose characters take two,
 * or none as they go onto the one before: a line that is wider than the window scrolls all above.
 */

const PLAIN = /^[ -~]*$/;
/**
 * East Asian Width W and F (Unicode Standard Annex #11) in whole blocks, and emoji. Where terminals
 * disagree, the wider one counts: a line that is too short does no harm.
 */
const WIDE = new RegExp(
  '[\\u1100-\\u115f\\u2329\\u232a\\u2e80-\\u303e\\u3040-\\ua4cf\\ua960-\\ua97f\\uac00-\\ud7a3' +
    '\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f\\uff01-\\uff60\\uffe0-\\uffe6' +
    '\\u{16fe0}-\\u{1b2ff}\\u{1d300}-\\u{1d37f}\\u{1f200}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}' +
    '\\u{1f900}-\\u{1faff}\\u{20000}-\\u{3fffd}\\p{Emoji_Presentation}]',
  'u',
);
/** Marks, and those letters of Hangul that complete a syllable. */
const ZERO = /[\p{Mn}\p{Me}\u1160-\u11ff\ud7b0-\ud7ff]/u;
/** Some terminals draw what is before it as an emoji, one column wider. */
const EMOJI_SELECTOR = '\ufe0f';

function characterWidth(character: string): number {
  if (character === EMOJI_SELECTOR) return 1;
  // Some marks are in the blocks of wide letters.
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Columns that a text without control characters takes. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** As much of its beginning as fits, in whole characters with their marks. */
export function cutToWidth(text: string, mostColumns: number): string {
  if (PLAIN.test(text)) return text.slice(0, mostColumns);
  let width = 0;
  let end = 0;
  for (const character of text) {
    width += characterWidth(character);
    if (width > mostColumns) break;
    end += character.length;
  }
  return text.slice(0, end);
}

export function padToWidth(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - displayWidth(text)));
}
