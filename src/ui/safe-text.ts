/**
 * Names and reasons come from the network, and a terminal obeys what is printed on it. Control
 * characters (C0, DEL, C1), and characters that reorder or hide text, are made visible.
 */

import { cutToWidth, displayWidth } from './display-width.js';

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line of text that a terminal shows as it is, in at most `mostColumns` columns. */
export function safeText(text: string, mostColumns = 300): string {
  const visible = text.replace(UNSAFE, '\u{fffd}');
  return displayWidth(visible) <= mostColumns
    ? visible
    : `${cutToWidth(visible, mostColumns - 3)}...`;
}

/** A value as JSON on one line, in which every such character is escaped. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
    }).join(''),
  );
}
