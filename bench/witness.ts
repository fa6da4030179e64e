/**
 * Run as a program, on a host of its own: listens to the group and writes one JSON line for
 * the first request and one for the first block, then ends. Asking a third host spares us from
 * trusting the clock or the word of the programs under test.
 */

import { createSocket } from 'node:dgram';
import { fileURLToPath } from 'node:url';

export const defaultGroup = '225.0.20.10';
export const serverPort = 7500;
export const groupPort = 16000;

export interface Heard {
  port: number;
  /** `performance.now()` of the witness. */
  atMs: number;
}

/** Shorter packets to the group are announcements, not blocks. */
const blockAtLeastBytes = 1000;

async function listen(interfaceAddress: string): Promise<void> {
  const firsts = [listenFor(serverPort, 0), listenFor(groupPort, blockAtLeastBytes)];
  const listening = firsts.map((first) => first.listening);
  await Promise.all(listening);
  process.stdout.write('"listening"\n');
  for (const { first } of firsts) process.stdout.write(`${JSON.stringify(await first)}\n`);
  process.exit(0);

  function listenFor(port: number, atLeastBytes: number) {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const first = new Promise<Heard>((resolve) => {
      socket.on('message', (message) => {
        if (message.length >= atLeastBytes) resolve({ port, atMs: performance.now() });
      });
    });
    const ready = new Promise<void>((resolve) => {
      socket.bind(port, () => {
        socket.addMembership(defaultGroup, interfaceAddress);
        resolve();
      });
    });
    return { first, listening: ready };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await listen(process.argv[2] ?? '');
