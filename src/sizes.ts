/**
 * Sizes for people, by everyone who speaks of one: decimal units throughout (1 MB = 10^6 bytes).
 */

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P'];

/** Three significant digits and a decimal prefix: 1.35 G, 13.5 G, 135 G; below 1000, the number. */
export function withPrefix(value: number, unit: string): string {
  let scaled = Math.max(0, value);
  let step = 0;
  // 999.5 would round to 1000, which belongs to the next prefix.
  while (scaled >= 999.5 && step < PREFIXES.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  const digits = step === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${PREFIXES[step]}${unit}`;
}

/** '1.35 GB'. At most 7 characters below a petabyte. */
export function formatBytes(bytes: number): string {
  return withPrefix(bytes, 'B');
}

/** '20971520 bytes (21.0 MB)': to the byte, and for people. */
export function formatExactBytes(bytes: number): string {
  const exact = `${bytes} bytes`;
  return bytes < 1000 ? exact : `${exact} (${formatBytes(bytes)})`;
}
