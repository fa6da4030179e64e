/**
 * UDP sockets of the C library's, and options that Node does not set. Numbers are Linux's.
 *
 * Why: the superuser may have larger buffers than the system's limit, and trains and coalescing are
 * options. Node's sockets do not tell their descriptors, so that these can't be set on them. May be
 * deleted once Node's dgram sets UDP_SEGMENT, UDP_GRO, IP_MTU_DISCOVER and SO_RCVBUFFORCE.
 */

import { readFileSync } from 'node:fs';
import type { Native } from '../../system/native.js';
import { fileShortage } from '../../system/open-files.js';
import { isIPv6Address } from '../family.js';
import type { Leave } from '../membership.js';
import type { ChosenInterface } from '../network-interface.js';
import { portTaken, WANTED_RECEIVE_BUFFER_BYTES } from '../node-socket.js';

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const IPPROTO_IP = 0;
const IP_ADD_MEMBERSHIP = 35;
const IPPROTO_IPV6 = 41;
const IP_DROP_MEMBERSHIP = 36;
const IPV6_JOIN_GROUP = 20;
const IPV6_LEAVE_GROUP = 21;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

/**
 * A socket of the C library's, bound to `address`; several may share an address.
 * @returns its descriptor
 * @throws Failure when the port is taken
 */
export function openNativeSocket(native: Native, address: Buffer): number {
  const family = address.readUInt16LE(0);
  const fd = native.socket(family, SOCK_DGRAM_CLOEXEC, 0);
  // Nothing else makes that fail: the families are there, the kind is known.
  if (fd < 0) throw fileShortage('EMFILE')!;
  native.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (native.bind(fd, address, address.length) === 0) return fd;
  native.close(fd);
  throw portTaken(address.readUInt16BE(2));
}

/**
 * Joins a multicast group on an interface.
 * @returns what leaves it again; null when it could not be joined
 */
export function joinGroup(
  native: Native,
  fd: number,
  group: string,
  chosen: ChosenInterface,
): Leave | null {
  const name = chosen.multicastAddress === undefined ? undefined : chosen.label;
  if (isIPv6Address(group)) {
    const request = Buffer.alloc(20);
    ipv6Bytes(group).copy(request);
    request.writeUInt32LE(interfaceIndexOf(name), 16);
    if (!native.setOptionBytes(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request)) return null;
    return () => native.setOptionBytes(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, request);
  }
  const request = Buffer.alloc(12);
  ipv4Bytes(group).copy(request);
  if (chosen.multicastAddress !== undefined) ipv4Bytes(chosen.multicastAddress).copy(request, 4);
  request.writeInt32LE(interfaceIndexOf(name), 8);
  if (!native.setOptionBytes(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request)) return null;
  return () => native.setOptionBytes(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, request);
}

/** Packets that are longer than the path's MTU are cut up on their way, rather than refused. */
export function allowFragments(native: Native, fd: number, isV6: boolean): void {
  const MTU_DISCOVER = isV6 ? 23 : 10;
  native.setOption(fd, isV6 ? IPPROTO_IPV6 : IPPROTO_IP, MTU_DISCOVER, 0);
}

/** The kernel's number of an interface; 0 leaves the choice to it. */
function interfaceIndexOf(name: string | undefined): number {
  if (name === undefined) return 0;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    return 0;
  }
}

/** A `sockaddr_in` or `sockaddr_in6`. @param scope interface name for link-local addresses */
export function socketAddress(address: string, port: number, scope?: string): Buffer {
  if (!isIPv6Address(address)) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16LE(AF_INET, 0);
    bytes.writeUInt16BE(port, 2);
    ipv4Bytes(address).copy(bytes, 4);
    return bytes;
  }
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  ipv6Bytes(address).copy(bytes, 8);
  bytes.writeUInt32LE(interfaceIndexOf(scope), 24);
  return bytes;
}

const ipv4Bytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

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

/** Asks for a send queue of `wantedBytes`; the superuser may go beyond the system's limit. */
export function setNativeSendBuffer(native: Native, fd: number, wantedBytes: number): void {
  if (!native.setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, wantedBytes)) {
    native.setOption(fd, SOL_SOCKET, SO_SNDBUF, wantedBytes);
  }
}

/** As `tryGrowReceiveBuffer`, and the superuser may go beyond the system's limit. */
export function growNativeReceiveBuffer(native: Native, fd: number): number {
  if (!native.setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, WANTED_RECEIVE_BUFFER_BYTES)) {
    native.setOption(fd, SOL_SOCKET, SO_RCVBUF, WANTED_RECEIVE_BUFFER_BYTES);
  }
  return native.getOption(fd, SOL_SOCKET, SO_RCVBUF) ?? 0;
}
