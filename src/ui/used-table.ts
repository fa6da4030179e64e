/** What of an image is in use, as a table: one line for each partition. */
import type { ServerEvent, UsedPart } from '../server/events.js';
import { safeText } from './safe-text.js';
import { formatBytes, formatPercent } from './units.js';

const HEAD = ['partition', 'file system', 'size', 'used', 'method'];

export function usedTable({
  parts,
  usedBytes,
  sizeBytes,
}: Extract<ServerEvent, { type: 'used' }>): string {
  const rows = [HEAD, ...parts.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const share = formatPercent(sizeBytes === 0 ? 1 : usedBytes / sizeBytes);
  const sum = `${formatBytes(usedBytes)} of ${formatBytes(sizeBytes)} are used (${share})`;
  return [`${sum}:`, ...lines].join('\n');
}

function cellsOf({ partition, fileSystem, sizeBytes, usedBytes, method, remark }: UsedPart) {
  const how = remark === null ? method : `${method}: ${safeText(remark)}`;
  const number = partition === 0 ? '-' : `${partition}`;
  return [number, safeText(fileSystem), formatBytes(sizeBytes), formatBytes(usedBytes), how];
}
