/**
 * Reads of a socket that fail for another reason than that nothing has come. One may be nothing:
 * the system tells an error of the path so. Many in a row say that the socket is broken: it is
 * opened anew.
 */

import { now } from '../system/clock.js';
import { debugLog } from '../system/debug-log.js';
import { Trouble } from './trouble.js';

const debug = debugLog('multiserver:reads');

/** So many in a row are no accident. */
export const MAX_FAILURES_IN_ROW = 16;

export class ReadTrouble {
  private readonly trouble = new Trouble();
  private inRow = 0;
  private total = 0;

  /**
   * @param what cannot be read: 'packets of group 225.0.20.10'
   * @param tell gets what the operator should know
   */
  constructor(
    private readonly what: string,
    private readonly tell: (text: string) => void,
  ) {}

  /** How many reads have failed so far. */
  get count(): number {
    return this.total;
  }

  /**
   * A read failed.
   * @param code the system's name for it: EIO
   * @returns whether to open the socket anew now
   */
  failed(code: string): boolean {
    this.total++;
    if (this.inRow === 0) debug('%s cannot be read: %s, %d so far', this.what, code, this.total);
    this.tellOf(code);
    this.inRow++;
    if (this.inRow < MAX_FAILURES_IN_ROW) return false;
    this.inRow = 0;
    return true;
  }

  /** The socket could not be opened anew. */
  notOpened(error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    debug('%s: not opened anew: %s', this.what, message);
    this.tellOf(code ?? message);
  }

  private tellOf(code: string): void {
    const news = this.trouble.failed(code, 0, now());
    if (news?.kind !== 'failing' || !news.isNew) return;
    this.tell(`${this.what} cannot be read (${code}); the socket is opened anew until it can be`);
  }

  /** Packets came, or none were there: the socket is sound. */
  succeeded(): void {
    this.inRow = 0;
    if (this.trouble.succeeded(0) !== null) this.tell(`${this.what} can be read again`);
  }
}
