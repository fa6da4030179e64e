/**
 * A program of its own: maps a file into its memory, as databases and virtual machines do, and
 * makes all of it dirty. On SIGUSR2 it stores a byte at the beginning, without a system call that
 * names the file. Says 'dirty' and 'stored' when it has.
 */

import { closeSync, fstatSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';

const pageBytes = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

const koffi = createRequire(import.meta.url)('koffi');
const mmap = koffi
  .load(null)
  .func(
    'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
  );

const fd = openSync(process.argv[2] ?? '', 'r+');
const { size } = fstatSync(fd);
const place = mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0);
const memory = new Uint8Array(koffi.view(place, size));
// The mapping holds the file.
closeSync(fd);
for (let at = 0; at < size; at += pageBytes) memory[at] = memory[at]! ^ 0xff;

process.on('SIGUSR2', () => {
  memory[0] = memory[0]! ^ 0xff;
  process.stdout.write('stored\n');
});
process.stdout.write('dirty\n');
// Nothing else keeps it going.
setInterval(() => {}, 60_000);
