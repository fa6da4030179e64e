/**
 * The C library, through koffi: the socket options that Node does not offer, and receiving many
 * datagrams in one call. All of it is optional: where koffi or Linux is missing, `loadNative`
 * gives null and plain sockets do the same job, slower.
 */

import { createRequire } from 'node:module';
import { endianness } from 'node:os';

export interface Native {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  close(fd: number): number;
  setOption(fd: number, level: number, name: number, value: number): boolean;
  setOptionBytes(fd: number, level: number, name: number, value: Uint8Array): boolean;
  getOption(fd: number, level: number, name: number): number | null;
  /** @returns datagrams received, or the system's error number, negative */
  recvmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  /** @returns 0, or the system's error number */
  sendmsg(fd: number, message: bigint, flags: number): number;
  addressOf(buffer: Buffer): bigint;
  /**
   * The same memory as an ordinary buffer: copying into shared memory is slower by half, since
   * V8 copies it word by word. The caller keeps threads from using one part at the same time,
   * and keeps `memory` alive.
   */
  unshared(memory: SharedArrayBuffer): Buffer;
  /**
   * Reserves space for a whole file, where the file system can.
   * @returns 0, or the system's error number
   */
  allocate(fd: number, lengthBytes: number, keepsSize: boolean): number;
  /**
   * Gives a range back to the file system or the device, where that is known to read as zeros
   * afterwards. @returns false where it is not
   */
  punchHole(fd: number, offsetBytes: number, lengthBytes: number): boolean;
  /** Tells a device that nobody needs a range any more (BLKDISCARD). @returns whether it heard */
  discard(fd: number, offsetBytes: number, lengthBytes: number): boolean;
  /** First data of a file at or after an offset; -1 when there is none, null when unknown. */
  seekData(fd: number, offsetBytes: number): number | null;
  /** First hole of a file at or after an offset; its end counts as one. Null when unknown. */
  seekHole(fd: number, offsetBytes: number): number | null;
  /**
   * Takes a lock that ends with the descriptor (flock), without waiting.
   * @returns false when another program's lock forbids it
   */
  lock(fd: number, isExclusive: boolean): boolean;
  /**
   * Whether any program has the file open for writing, or mapped into its memory for that.
   * @param fd open for reading only
   * @returns null where the system does not tell
   */
  isOpenForWriting(fd: number): boolean | null;
  /** Lets go of what the system keeps in memory of a synced file. */
  dropCache(fd: number): void;
  /** The name of an interface that was named in another way (altname); null when there is none. */
  interfaceName(wanted: string): string | null;
  /** Marks of a file (FS_IOC_GETFLAGS: immutable and the like); null where there are none. */
  fileFlags(fd: number): number | null;
  /** Ends the process at once: no thread is waited for (_exit). */
  exit(status: number): void;
  /**
   * Has the system read a disk's partition table again (BLKRRPART).
   * @returns 0, or the error number
   */
  readPartitions(fd: number): number;
  /** A loop device that is free (LOOP_CTL_GET_FREE). @returns its number, or -1 */
  freeLoop(controlFd: number): number;
  /** Puts a file behind a loop device (LOOP_CONFIGURE). @returns 0, or the error number */
  configureLoop(loopFd: number, config: Uint8Array): number;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;

const FALLOC_KEEP_SIZE = 1;
/** FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE, see fallocate(2). */
const PUNCH_HOLE_KEEP_SIZE = 3;

let loaded: Native | null | undefined;

export function loadNative(): Native | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

function load(): Native | null {
  // Structures are laid out by hand for 64-bit little-endian Linux.
  const isSupported =
    process.platform === 'linux' &&
    endianness() === 'LE' &&
    (process.arch === 'x64' || process.arch === 'arm64' || process.arch === 'riscv64');
  if (!isSupported) return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const libc = koffi.load(null);
    // biome-ignore lint/suspicious/noExplicitAny: they take what their line says
    const lazy = (line: string): ((...words: any[]) => any) => {
      let found: ((...words: unknown[]) => unknown) | undefined;
      return (...words) => {
        found ??= libc.func(line) as (...words: unknown[]) => unknown;
        return found(...words);
      };
    };
    const getsockopt = libc.func(
      'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
    );
    const setsockopt = libc.func(
      'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
    );
    const recvmmsg = libc.func(
      'int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)',
    );
    const sendmsg = libc.func('int64_t sendmsg(int fd, void *message, int flags)');
    // What few runs need is looked up when they do: each look-up makes a start longer.
    const ifNameToIndex = lazy('uint32_t if_nametoindex(const char *name)');
    const ifIndexToName = lazy('uintptr_t if_indextoname(uint32_t index, _Out_ uint8_t *name)');
    const ioctlBytes = lazy('int ioctl(int fd, uint64_t request, _Out_ uint8_t *value)');
    const ioctl = lazy('int ioctl(int fd, uint64_t request, uint64_t argument)');
    const ioctlFrom = lazy('int ioctl(int fd, uint64_t request, const uint8_t *value)');
    const flock = libc.func('int flock(int fd, int operation)');
    const posixFadvise = libc.func(
      'int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)',
    );
    const fcntl = lazy('int fcntl(int fd, int command, int64_t argument)');
    const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)');
    const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
    return {
      socket: libc.func('int socket(int domain, int type, int protocol)'),
      bind: libc.func('int bind(int fd, const uint8_t *address, uint32_t length)'),
      close: libc.func('int close(int fd)'),
      // Not posix_fallocate: where there is nothing of the kind, that writes all of it first.
      allocate: (fd, lengthBytes, keepsSize) =>
        fallocate(fd, keepsSize ? FALLOC_KEEP_SIZE : 0, 0, lengthBytes) === 0 ? 0 : koffi.errno(),
      punchHole: (fd, offsetBytes, lengthBytes) =>
        fallocate(fd, PUNCH_HOLE_KEEP_SIZE, offsetBytes, lengthBytes) === 0,
      lock(fd, isExclusive) {
        const EWOULDBLOCK = 11;
        const LOCK_NB = 4;
        // Where the file system knows no locks, there is nothing to be told.
        return flock(fd, (isExclusive ? 2 : 1) | LOCK_NB) === 0 || koffi.errno() !== EWOULDBLOCK;
      },
      isOpenForWriting(fd) {
        const F_SETSIG = 10;
        const SIGURG = 23;
        const F_SETLEASE = 1024;
        const F_RDLCK = 0;
        const F_UNLCK = 2;
        const EAGAIN = 11;
        // Who opens it in this moment breaks the lease, and the usual signal of that would end us.
        if (fcntl(fd, F_SETSIG, SIGURG) !== 0) return null;
        if (fcntl(fd, F_SETLEASE, F_RDLCK) === 0) {
          fcntl(fd, F_SETLEASE, F_UNLCK);
          return false;
        }
        return koffi.errno() === EAGAIN ? true : null;
      },
      exit: lazy('void _exit(int status)'),
      interfaceName(wanted) {
        const index = ifNameToIndex(wanted);
        const name = Buffer.alloc(16);
        if (index === 0 || ifIndexToName(index, name) === 0n) return null;
        return name.toString('latin1').replace(/\0.*$/s, '');
      },
      fileFlags(fd) {
        const FS_IOC_GETFLAGS = 0x80086601;
        const bytes = Buffer.alloc(8);
        return ioctlBytes(fd, FS_IOC_GETFLAGS, bytes) === 0 ? bytes.readInt32LE() : null;
      },
      readPartitions(fd) {
        const BLKRRPART = 0x125f;
        return ioctl(fd, BLKRRPART, 0n) === 0 ? 0 : koffi.errno();
      },
      discard(fd, offsetBytes, lengthBytes) {
        const BLKDISCARD = 0x1277;
        const range = Buffer.alloc(16);
        range.writeBigUInt64LE(BigInt(offsetBytes));
        range.writeBigUInt64LE(BigInt(lengthBytes), 8);
        return ioctlFrom(fd, BLKDISCARD, range) === 0;
      },
      freeLoop(controlFd) {
        const LOOP_CTL_GET_FREE = 0x4c82;
        return ioctl(controlFd, LOOP_CTL_GET_FREE, 0n);
      },
      configureLoop(loopFd, config) {
        const LOOP_CONFIGURE = 0x4c0a;
        return ioctlFrom(loopFd, LOOP_CONFIGURE, config) === 0 ? 0 : koffi.errno();
      },
      dropCache(fd) {
        const POSIX_FADV_DONTNEED = 4;
        posixFadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      },
      seekData(fd, offsetBytes) {
        const found = Number(lseek(fd, offsetBytes, SEEK_DATA));
        if (found >= 0) return found;
        return koffi.errno() === ENXIO ? -1 : null;
      },
      seekHole(fd, offsetBytes) {
        const found = Number(lseek(fd, offsetBytes, SEEK_HOLE));
        return found >= 0 ? found : null;
      },
      setOption(fd, level, name, value) {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32LE(value);
        return setsockopt(fd, level, name, bytes, 4) === 0;
      },
      setOptionBytes: (fd, level, name, value) =>
        setsockopt(fd, level, name, value, value.length) === 0,
      getOption(fd, level, name) {
        const bytes = Buffer.alloc(4);
        const length = [4];
        return getsockopt(fd, level, name, bytes, length) === 0 ? bytes.readInt32LE() : null;
      },
      recvmmsg(fd, messages, count, flags) {
        const received = recvmmsg(fd, messages, count, flags, null);
        return received < 0 ? -koffi.errno() : received;
      },
      sendmsg: (fd, message, flags) => (sendmsg(fd, message, flags) < 0 ? koffi.errno() : 0),
      addressOf: (buffer) => koffi.address(buffer),
      unshared: (memory) =>
        Buffer.from(koffi.view(koffi.address(Buffer.from(memory)), memory.byteLength)),
    };
  } catch {
    return null;
  }
}
