/** UDP sockets with options that Node alone does not set. Numbers are Linux's. */
import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Native } from './native.js';

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

/** @returns the socket, and its descriptor where the C library made it (-1 where Node will) */
export function createUdpSocket(
  address: string,
  native: Native | null,
  { reuse }: { reuse: boolean },
): { socket: dgram.Socket; fd: number } {
  const isV6 = isIPv6(address);
  const socket = dgram.createSocket({
    type: isV6 ? 'udp6' : 'udp4',
    reuseAddr: reuse,
    lookup: (host, _options, callback) => callback(null, host, isV6 ? 6 : 4),
  });
  let fd = -1;
  if (native !== null) {
    fd = native.socket(isV6 ? AF_INET6 : AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    if (fd >= 0 && reuse) native.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  return { socket, fd };
}

/** A `sockaddr_in` or `sockaddr_in6`. @param scope interface name for link-local addresses */
export function socketAddress(address: string, port: number, scope?: string): Buffer {
  if (!isIPv6(address)) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16LE(AF_INET, 0);
    bytes.writeUInt16BE(port, 2);
    Buffer.from(address.split('.').map(Number)).copy(bytes, 4);
    return bytes;
  }
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  ipv6Bytes(address).copy(bytes, 8);
  bytes.writeUInt32LE(scope === undefined ? 0 : scopeIdOf(scope), 24);
  return bytes;
}

/** The 16 bytes of an IPv6 address in text. */
function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const groups = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...left, ...zeros, ...right].entries())
    bytes.writeUInt16BE(group, i * 2);
  return bytes;
}

function scopeIdOf(name: string): number {
  for (const entry of networkInterfaces()[name] ?? []) {
    if (entry.family === 'IPv6' && entry.scopeid > 0) return entry.scopeid;
  }
  return 0;
}

/** Asks for a receive buffer as large as the system allows. @returns bytes granted */
export function tryGrowReceiveBuffer(
  socket: dgram.Socket,
  fd: number,
  native: Native | null,
  wantedBytes: number,
): number {
  const isForced =
    native !== null && fd >= 0 && native.setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, wantedBytes);
  try {
    if (!isForced) socket.setRecvBufferSize(wantedBytes);
    if (native !== null && fd >= 0) return native.getOption(fd, SOL_SOCKET, SO_RCVBUF) ?? 0;
    return socket.getRecvBufferSize();
  } catch {
    return 0;
  }
}
