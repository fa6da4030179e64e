/**
 * What is heard while no server is chosen, and says that options of server and client do not agree.
 * Each thing is told once.
 */
import type { ImageDescription } from '../protocol/from-server.js';
import { PacketType } from '../protocol/packet.js';
import type { ServerAddress } from './server-choice.js';

/** A server that is heard sending answers map requests long before that. */
const UNANSWERED_MS = 3000;
/** With nobody heard for so long, servers are looked for where they are by default. */
const ELSEWHERE_AFTER_MS = 3000;
const ELSEWHERE_INTERVAL_MS = 5000;
/** Strangers must not fill the screen. */
const MOST_TOLD = 8;

export interface HearsayOptions {
  port: number;
  /** Where servers are by default, when this client was told to look elsewhere. */
  elsewhere: ServerAddress | null;
}

export class Hearsay {
  readonly #options: HearsayOptions;
  readonly #told = new Set<string>();
  #streamSinceMs = Number.POSITIVE_INFINITY;
  #elsewhereDueMs: number;

  constructor(options: HearsayOptions, now: number) {
    this.#options = options;
    const isDue = options.elsewhere !== null;
    this.#elsewhereDueMs = isDue ? now + ELSEWHERE_AFTER_MS : Number.POSITIVE_INFINITY;
  }

  get dueMs(): number {
    return Math.min(this.#streamSinceMs + UNANSWERED_MS, this.#elsewhereDueMs);
  }

  /** A packet came to the group and port that blocks are expected at. @returns what to tell, or null */
  hear(type: number, now: number): string | null {
    const { port } = this.#options;
    if (type === PacketType.mapRequest) {
      return this.#once(
        `port ${port} is where servers are asked for images, not where they send them: start again ` +
          `with -s ${port}, and with the port of the group as -p (16000 unless multiserver has another)`,
      );
    }
    this.#streamSinceMs = Math.min(this.#streamSinceMs, now);
    return null;
  }

  /** A server answered that sends to another group: it is no choice. @returns what to tell, or null */
  hearOther({ name, group, port }: ImageDescription, address: string): string | null {
    return this.#once(
      `the server at ${address} sends '${name}' to another group than this client listens to; ` +
        `to take that image, start again with -g ${group} -p ${port}`,
    );
  }

  /** A server describes what no image can be. @returns what to tell, or null */
  hearUnusable(
    { imageSize, chunkSize, blockSize }: ImageDescription,
    address: string,
  ): string | null {
    return this.#once(
      `the server at ${address} describes an image that cannot be worked with (${imageSize} bytes in ` +
        `chunks of ${chunkSize}, blocks of ${blockSize}): it is passed over; use the same version on all machines`,
    );
  }

  /** @returns what to tell, or null */
  handleTimeout(now: number): string | null {
    if (now < this.#streamSinceMs + UNANSWERED_MS) return null;
    this.#streamSinceMs = Number.POSITIVE_INFINITY;
    return this.#once(
      'a server sends to this group, but none answers: give its port for requests with -s ' +
        '(multiserver prints it), and look whether a firewall drops what clients send or get',
    );
  }

  /** Where else to ask now, or null. */
  pollElsewhere(now: number): ServerAddress | null {
    if (now < this.#elsewhereDueMs) return null;
    this.#elsewhereDueMs = now + ELSEWHERE_INTERVAL_MS;
    return this.#options.elsewhere;
  }

  #once(text: string): string | null {
    if (this.#told.has(text) || this.#told.size >= MOST_TOLD) return null;
    this.#told.add(text);
    return text;
  }
}
