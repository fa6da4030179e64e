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
  getOption(fd: number, level: number, name: number): number | null;
  /** @returns datagrams received, or -1 */
  recvmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  addressOf(buffer: Buffer): bigint;
  /**
   * The same memory as an ordinary buffer: copying into shared memory is slower by half, since
   * V8 copies it word by word. The caller keeps threads from using one part at the same time,
   * and keeps `memory` alive.
   */
  unshared(memory: SharedArrayBuffer): Buffer;
  /** Reserves space for a whole file. @returns 0, or the system's error number */
  allocate(fd: number, lengthBytes: number): number;
}

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
    const getsockopt = libc.func(
      'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
    );
    const setsockopt = libc.func(
      'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
    );
    const recvmmsg = libc.func(
      'int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)',
    );
    const posixFallocate = libc.func('int posix_fallocate(int fd, int64_t offset, int64_t length)');
    return {
      socket: libc.func('int socket(int domain, int type, int protocol)'),
      bind: libc.func('int bind(int fd, const uint8_t *address, uint32_t length)'),
      close: libc.func('int close(int fd)'),
      allocate: (fd, lengthBytes) => posixFallocate(fd, 0, lengthBytes),
      setOption(fd, level, name, value) {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32LE(value);
        return setsockopt(fd, level, name, bytes, 4) === 0;
      },
      getOption(fd, level, name) {
        const bytes = Buffer.alloc(4);
        const length = [4];
        return getsockopt(fd, level, name, bytes, length) === 0 ? bytes.readInt32LE() : null;
      },
      recvmmsg: (fd, messages, count, flags) => recvmmsg(fd, messages, count, flags, null),
      addressOf: (buffer) => koffi.address(buffer),
      unshared: (memory) =>
        Buffer.from(koffi.view(koffi.address(Buffer.from(memory)), memory.byteLength)),
    };
  } catch {
    return null;
  }
}
