/**
 * A socket of Node's that outlasts errors of its reads. Node tells such an error as an event, and
 * again at once while it lasts. So a socket with many of them is closed, and opened anew a moment
 * later.
 */
import type dgram from 'node:dgram';
import type { Address } from '../../protocol/address.js';
import type { ReadTrouble } from './read-trouble.js';

/** So long a socket stays closed. */
export const REOPEN_MS = 1000;

interface SocketUse {
  /** Opens and binds a socket, whenever there has to be a new one. @throws when it cannot */
  open(): Promise<dgram.Socket>;
  onMessage(bytes: Buffer, from: Address): void;
  /** The socket that was open is closed. */
  onClosed?(): void;
}

export class LastingSocket {
  private socket: dgram.Socket | null = null;
  private timer: NodeJS.Timeout | undefined;
  private hasEnded = false;

  private constructor(
    private readonly use: SocketUse,
    private readonly trouble: ReadTrouble,
  ) {}

  /** @throws what `use.open` throws: the first time it has to work */
  static async open(use: SocketUse, trouble: ReadTrouble): Promise<LastingSocket> {
    const lasting = new LastingSocket(use, trouble);
    lasting.adopt(await use.open());
    return lasting;
  }

  /** Null while it is opened anew. */
  get current(): dgram.Socket | null {
    return this.socket;
  }

  private adopt(socket: dgram.Socket): void {
    this.socket = socket;
    socket.removeAllListeners('error');
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const isBroken = this.trouble.failed(error.code ?? error.message);
      if (isBroken && this.socket === socket) this.openAnew();
    });
    socket.on('message', (bytes, from) => {
      this.trouble.succeeded();
      this.use.onMessage(bytes, from);
    });
  }

  private openAnew(): void {
    this.closeCurrent();
    this.timer = setTimeout(() => {
      this.use.open().then(
        (socket) => {
          if (this.hasEnded) socket.close();
          else this.adopt(socket);
        },
        (error) => {
          this.trouble.notOpened(error);
          if (!this.hasEnded) this.openAnew();
        },
      );
    }, REOPEN_MS);
  }

  private closeCurrent(): void {
    this.socket?.close();
    this.socket = null;
    this.use.onClosed?.();
  }

  close(): void {
    this.hasEnded = true;
    clearTimeout(this.timer);
    this.closeCurrent();
  }
}
