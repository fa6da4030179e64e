/**
 * The client's line to the network: the group that it listens to, requests, and answers to them. It is kept
 * up while interfaces and addresses change, and says what is wrong when nothing comes or goes.
 */
import type dgram from 'node:dgram';
import { now } from '../clock.js';
import { debugLog } from '../debug-log.js';
import type { ClientOptions } from '../options.js';
import { causeOfSilence, type NetCounters, readCounters } from './diagnosis.js';
import { type GroupHandler, type GroupReceiver, openGroupReceiver } from './group-receiver.js';
import { SilenceWatch } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { sendByAgain, startRenewing } from './renewal.js';
import { openRequestSocket } from './request-socket.js';
import { SendTrouble, type TroubleNews, troubleText } from './send-trouble.js';

const debug = debugLog('multiclient:requests');

/** A server that is there speaks every second, once it is asked. */
const SILENCE_MS = 3000;
/** With answers, but nothing of the group for so long, the likely cause is told. */
const EXPLAIN_AFTER_MS = 5000;

export interface Destination {
  address: string;
  port: number;
}

export interface ClientLineHandler extends GroupHandler {
  onAnswer: (bytes: Buffer, from: Destination) => void;
  /** What the operator should know. */
  onNotice: (text: string) => void;
  /** Where the stream is to come from; null once something of it has come. */
  awaitedStream: () => string | null;
}

export class ClientLine {
  readonly #options: ClientOptions;
  readonly #chosen: ChosenInterface;
  readonly #handler: ClientLineHandler;
  readonly #socket: dgram.Socket;
  readonly #silence = new SilenceWatch(SILENCE_MS, now());
  readonly #trouble = new SendTrouble();
  #hasHeard = false;
  /** How far packets got when the server had just answered; null while there is nothing to explain. */
  #countersAtBegin: NetCounters | null = null;
  #beganMs = 0;
  readonly #renewal: NodeJS.Timeout;
  /** The group. */
  readonly receiver: GroupReceiver;

  private constructor(
    options: ClientOptions,
    chosen: ChosenInterface,
    handler: ClientLineHandler,
    receiver: GroupReceiver,
    socket: dgram.Socket,
  ) {
    this.#options = options;
    this.#chosen = chosen;
    this.#handler = handler;
    this.#socket = socket;
    this.receiver = receiver;
    const renew = (now: ChosenInterface) => this.#renew(now);
    this.#renewal = startRenewing(options.interface, options.group, renew, handler.onNotice);
    socket.on('message', (bytes, { address, port }) => handler.onAnswer(bytes, { address, port }));
  }

  /** @throws Failure when the port is taken, or the group cannot be joined */
  static async open(
    options: ClientOptions,
    chosen: ChosenInterface,
    handler: ClientLineHandler,
  ): Promise<ClientLine> {
    const { group, port, ttl, offload } = options;
    let line: ClientLine | null = null;
    const receiver = await openGroupReceiver(
      { group, port, chosen, ttl, offload },
      {
        ...handler,
        onPackets: (bytes, start, end, address) => {
          if (line !== null) line.#hasHeard = true;
          return handler.onPackets(bytes, start, end, address);
        },
      },
    );
    const socket = await openRequestSocket(options, chosen);
    line = new ClientLine(options, chosen, handler, receiver, socket);
    return line;
  }

  #renew(chosen: ChosenInterface): boolean {
    sendByAgain(this.#socket, chosen);
    this.#explainSilence(chosen.label);
    if (this.#hasHeard) this.#silence.hear(now());
    this.#hasHeard = false;
    return this.receiver.tendMembership(chosen, this.#silence.isDue(now()));
  }

  /** The server has answered: its stream is to come. */
  awaitStream(): void {
    this.#countersAtBegin = readCounters();
    this.#beganMs = now();
  }

  /** The server answers, and nothing of the group comes: says why, once. */
  #explainSilence(interfaceName: string): void {
    const before = this.#countersAtBegin;
    if (before === null || now() - this.#beganMs < EXPLAIN_AFTER_MS) return;
    this.#countersAtBegin = null;
    const stream = this.#handler.awaitedStream();
    if (stream === null) return;
    const { group, port } = this.#options;
    this.#handler.onNotice(causeOfSilence(interfaceName, group, port, stream, before));
  }

  /** @param to null for wherever servers are looked for */
  send(bytes: Buffer, to: Destination | null): void {
    const { group, serverHost, serverPort } = this.#options;
    const port = to?.port ?? serverPort;
    const address = to?.address ?? serverHost ?? group;
    this.#socket.send(bytes, port, address, (error) => {
      const code = (error as NodeJS.ErrnoException | null)?.code;
      if (code !== undefined) debug('request to %s: %s', address, code);
      const news =
        code === undefined
          ? this.#trouble.succeeded(bytes.length)
          : this.#trouble.failed(code, bytes.length, now());
      if (news !== null) this.#tellTrouble(news, address);
    });
  }

  #tellTrouble(news: TroubleNews, address: string): void {
    const { onNotice } = this.#handler;
    const place = `${address} on interface ${this.#chosen.label}`;
    if (news.kind === 'over') onNotice('requests can be sent again');
    else if (news.isNew) onNotice(troubleText(place, news.code));
  }

  /** Sends a last word, and closes. */
  async close(bytes: Buffer | null, to: Destination | null): Promise<void> {
    clearInterval(this.#renewal);
    if (bytes !== null && to !== null) {
      const { port, address } = to;
      await new Promise((resolve) => this.#socket.send(bytes, port, address, resolve));
    }
    this.receiver.close();
    this.#socket.close();
  }
}
