/** Which server the client takes its image from, and what that server says of it. */
import { Failure } from '../failure.js';
import type { ImageDescription } from '../protocol/from-server.js';
import type { ClientConfig } from './config.js';
import { areAlike, checkGroup } from './description.js';
import { Discovery } from './discovery.js';
import type { Spread } from './spread.js';

export interface ServerAddress {
  address: string;
  port: number;
}

export class ServerChoice {
  readonly #config: ClientConfig;
  readonly #discovery: Discovery;
  #server: ServerAddress | null = null;
  #description: ImageDescription | null = null;

  constructor(config: ClientConfig, spread: Spread, now: number) {
    this.#config = config;
    const { client, machine, host, wantedName } = config;
    this.#discovery = new Discovery({ client, machine, host, wantedName, spread }, now);
  }

  /** The server chosen, or null. */
  get server(): ServerAddress | null {
    return this.#server;
  }

  /** Where the stream comes from: a server with several addresses answers from another. */
  get streamAddress(): string | null {
    const stream = this.#description?.streamAddress ?? '';
    return stream === '' ? (this.#server?.address ?? null) : stream;
  }

  get description(): ImageDescription | null {
    return this.#description;
  }

  /** When there is something to do while no server is chosen. */
  get dueMs(): number {
    return this.#discovery.dueMs;
  }

  /** A server was heard: ask without waiting. */
  hurry(now: number): void {
    this.#discovery.hurry(now);
  }

  /** A map request while no server is chosen, when one is due. */
  pollRequest(now: number): Buffer | null {
    return this.#discovery.pollRequest(now);
  }

  /** A map request to find out whether the chosen server is still what it was. */
  newRequest(): Buffer {
    return this.#discovery.request();
  }

  add(description: ImageDescription, address: string, port: number, now: number): void {
    this.#discovery.add({ description, address, port }, now);
  }

  /**
   * Chooses, once it can be told.
   * @returns whether a server is chosen now
   * @throws Failure when it cannot be told which, or the choice sends elsewhere
   */
  decide(now: number): boolean {
    const offer = this.#discovery.decide(now);
    if (offer === null) return false;
    checkGroup(offer.description, this.#config.group, this.#config.port);
    this.#description = offer.description;
    this.#server = { address: offer.address, port: offer.port };
    return true;
  }

  /** Whether a description may be of the image chosen, as far as it tells without its id. */
  isAlike(description: ImageDescription): boolean {
    return this.#description !== null && areAlike(description, this.#description);
  }

  /** The same image in a new session, from the chosen server or its successor. */
  renew(description: ImageDescription, server: ServerAddress): void {
    this.#description = description;
    this.#server = server;
  }

  otherImage({ name }: ImageDescription): Failure {
    const text = `the server at ${this.#server?.address} now serves another image (${name}); start again to copy that one`;
    return new Failure('otherImage', 'OTHER_IMAGE', text);
  }

  /**
   * There was no progress for too long.
   * @param isSilent the chosen server, if there is one, was not heard of in that time
   */
  noServer(isSilent: boolean): Failure {
    const heard = this.#discovery.heardNames;
    const detail =
      this.#server !== null
        ? isSilent
          ? `the server at ${this.#server.address} was not heard of any more`
          : `the server at ${this.#server.address} answers, but nothing of its image came; look whether its packets to the group get here (switch, firewall, -i)`
        : heard.length > 0
          ? `only other images are served: ${heard.join(', ')}`
          : 'no server answered; check that multiserver runs, and that group, ports and interface (-i) agree';
    const seconds = this.#config.giveUpMs / 1000;
    return new Failure('noServer', 'NO_SERVER', `gave up after ${seconds} s: ${detail}`);
  }
}
