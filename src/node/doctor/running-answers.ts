/** A server that runs answers the doctors of clients, beside its work. */

import { ProbeAnswering, type ServerWords } from '../../doctor/probe-answering.js';
import type { Asker } from '../net/answer-sockets.js';
import type { ServerLine } from '../net/server-line.js';
import { now } from '../system/clock.js';

type RunningWords = Omit<ServerWords, 'isDoctor'>;

/**
 * What a server tells any doctor. These need no key, so of a sealed image they hear nothing that is
 * not in the open anyway: neither its name nor its size.
 */
export function wordsOf(words: RunningWords, isSealed: boolean): RunningWords {
  return isSealed ? { ...words, name: '', imageSize: 0 } : words;
}

export class RunningAnswers {
  private readonly answering: ProbeAnswering;
  private readonly line: ServerLine;

  constructor(line: ServerLine, words: RunningWords) {
    this.answering = new ProbeAnswering({ ...words, isDoctor: false });
    this.line = line;
  }

  /** @returns whether it was a probe, and is answered as far as that may be */
  take(bytes: Buffer, from: Asker): boolean {
    if (!ProbeAnswering.isProbe(bytes)) return false;
    const answer = this.answering.answer(bytes, now());
    if (answer?.kind === 'unicast') {
      this.line.answer(answer.bytes, answer.bytes.length, from, () => {});
    }
    // The image goes first: what would have to wait is not sent.
    if (answer?.kind === 'group' && !this.line.sender.isBusy) {
      const { length } = answer.bytes;
      const outgoing = { bytes: answer.bytes, length, packetBytes: length, payloads: null };
      this.line.sender.send(outgoing, () => {});
    }
    return true;
  }
}
