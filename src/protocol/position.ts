/**
 * Send positions: the server numbers the packets it sends to the group, on the wire modulo 2^32
 * (serial number arithmetic, RFC 1982). The server itself counts on: what it sent 2^31 packets ago,
 * and still remembers, would be mistaken for sent just now otherwise. All here take either number.
 */

/** Packets from `older` to `newer`, negative when `newer` lies before `older`. */
export function positionsBetween(older: number, newer: number): number {
  return (newer - older) | 0;
}

/** The count, of which the wire carries `wirePosition`, that lies next to `count`. */
export function countedPosition(count: number, wirePosition: number): number {
  return count + positionsBetween(count, wirePosition);
}

/** A count as the wire carries it. */
export function wirePosition(count: number): number {
  return count >>> 0;
}

export function advancePosition(position: number, packets: number): number {
  return (position + packets) >>> 0;
}
