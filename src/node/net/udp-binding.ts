/** Binding and connecting sockets, and saying in a sentence what went wrong. */
import type dgram from 'node:dgram';
import { Failure } from '../../failure.js';
import type { ChosenInterface } from './network-interface.js';

/** @throws Failure when the port is taken */
export function bindSocket(socket: dgram.Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = () => reject(portTaken(port));
    socket.once('error', refuse);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', refuse);
      resolve();
    });
  });
}

/** Hands a bound descriptor of the C library's to Node. */
export function adoptSocket(socket: dgram.Socket, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Sends to one address only, and hears from no other. */
export function connectSocket(socket: dgram.Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // Node hands an error to the callback, though its type does not say so.
    const connected = (error?: Error | null) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    };
    socket.connect(port, address, connected);
  });
}

export function portTaken(port: number): Failure {
  return new Failure(
    'network',
    'PORT_TAKEN',
    `UDP port ${port} cannot be used: another program (another multiserver?) may have it; choose another port`,
  );
}

export function networkFailure(error: unknown, group: string, chosen: ChosenInterface): Failure {
  const detail = error instanceof Error ? error.message : String(error);
  return new Failure(
    'network',
    'NO_MULTICAST',
    `multicast to ${group} on interface ${chosen.label} does not work (${detail}); name an interface with -i`,
  );
}
