/** Numbers for people. Rates are in bits, like --rate. */
import { formatBytes, withPrefix } from '../sizes.js';

export { formatBytes };

/** '812 Mbit/s'. At most 11 characters. */
export function formatRate(bitsPerSecond: number): string {
  return withPrefix(bitsPerSecond, 'bit/s');
}

/** '812 MB over the network, 2.6 times less than the image': how an image came across. */
export function formatWire(imageBytes: number, wireBytes: number): string {
  const ratio = imageBytes / wireBytes;
  const text = `${formatBytes(wireBytes)} over the network`;
  if (ratio < 1.1) return text;
  return `${text}, ${ratio >= 99.5 ? formatCount(ratio) : ratio.toPrecision(2)} times less`;
}

/** '1,234,567'. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** '3 clients', '1 client'. */
export function formatPlural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** '42.3 %', rounded down: 100.0 % means all of it. `ratio` is 0 to 1. */
export function formatPercent(ratio: number): string {
  const tenths = Math.floor(Math.min(1, Math.max(0, ratio)) * 1000 + 1e-9);
  return `${(tenths / 10).toFixed(1)} %`;
}

/** A time that has passed: '2.3 s', '27 s', '12 min 34 s', '3 h 02 min'. */
export function formatElapsed(ms: number): string {
  const tenths = Math.round(Math.max(0, ms) / 100);
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(Math.max(0, ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${twoDigits(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} min`;
}

/** A time to come, as a clock that runs down: '0:18', '12:34', '1:02:03'; '-:--' for unknown. */
export function formatRemaining(ms: number | undefined): string {
  if (ms === undefined || !(ms < 360_000_000)) return '-:--';
  const seconds = Math.ceil(Math.max(0, ms) / 1000);
  const minutes = Math.floor(seconds / 60);
  const tail = twoDigits(seconds % 60);
  if (minutes < 60) return `${minutes}:${tail}`;
  return `${Math.floor(minutes / 60)}:${twoDigits(minutes % 60)}:${tail}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** '10.0.0.1:7500', '[fe80::1]:7500'. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The first 16 hex digits of a map's digest: enough to tell images apart by eye. */
export function shortMapId(mapId: string): string {
  return mapId.slice(0, 16);
}
