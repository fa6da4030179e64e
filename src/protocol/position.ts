/**
 * Send positions: the server numbers the packets it sends to the group, modulo 2^32
 * (serial number arithmetic, RFC 1982).
 */

/** Packets from `older` to `newer`, negative when `newer` lies before `older`. */
export function positionsBetween(older: number, newer: number): number {
  return (newer - older) | 0;
}

export function advancePosition(position: number, packets: number): number {
  return (position + packets) >>> 0;
}
