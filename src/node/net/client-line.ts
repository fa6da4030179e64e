/**
 * The client's line to the network: the group that it listens to, requests, and answers to them. It
 * is kept up while interfaces and addresses change, and says what is wrong when nothing comes or
 * goes.
 */

import type { Address } from '../../protocol/address.js';
import { type CopyPlace, type StallWatch, watchClient } from '../doctor/stall.js';
import type { ClientOptions } from '../options.js';
import { now } from '../system/clock.js';
import { debugLog } from '../system/debug-log.js';
import type { GroupHandler, GroupReceiver } from './group-socket.js';
import { LastingSocket } from './lasting-socket.js';
import { SilenceWatch } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { openGroupReceiver } from './open-group.js';
import { ReadTrouble } from './read-trouble.js';
import { sendByAgain, startRenewing } from './renewal.js';
import { openRequestSocket } from './request-socket.js';
import { sendTroubleText, Trouble, type TroubleNews } from './trouble.js';

const debug = debugLog('multiclient:requests');

/** A server that is there speaks every second, once it is asked. */
const SILENCE_MS = 3000;
/** How often it is looked at whether the copy gets on. */
const LOOK_MS = 2000;

interface ClientLineHandler extends GroupHandler {
  onAnswer: (bytes: Buffer, from: Address) => void;
  /**
   * Whether enough of the image came since the last look, or nothing is to come.
   * @param isHeard something of the group came since
   */
  isWell: (isHeard: boolean) => boolean;
  /** How far the copy is. */
  place: () => CopyPlace;
}

export class ClientLine {
  private readonly options: ClientOptions;
  private readonly chosen: ChosenInterface;
  private readonly handler: ClientLineHandler;
  private readonly requests: LastingSocket;
  private readonly silence = new SilenceWatch(SILENCE_MS, now());
  private readonly trouble = new Trouble();
  private hasHeard = false;
  /** Since it was last looked at whether the copy gets on. */
  private isHeard = false;
  private readonly stall: StallWatch;
  private readonly renewal: NodeJS.Timeout;
  private readonly looking: NodeJS.Timeout;
  /** The group. */
  readonly receiver: GroupReceiver;

  private constructor(
    options: ClientOptions,
    chosen: ChosenInterface,
    handler: ClientLineHandler,
    receiver: GroupReceiver,
    requests: LastingSocket,
  ) {
    this.options = options;
    this.chosen = chosen;
    this.handler = handler;
    this.requests = requests;
    this.receiver = receiver;
    this.stall = watchClient(options, chosen, handler.place, handler.onNotice);
    // Also while the interface is away: that is a cause to be named.
    this.looking = setInterval(() => this.look(), LOOK_MS);
    const renew = (now: ChosenInterface) => this.renew(now);
    this.renewal = startRenewing(options.interface, options.group, renew, handler.onNotice);
  }

  /** @throws Failure when the port is taken, or the group cannot be joined */
  static async open(
    options: ClientOptions,
    chosen: ChosenInterface,
    handler: ClientLineHandler,
  ): Promise<ClientLine> {
    const { group, port, ttl, offload, ownsProcess = true } = options;
    let line: ClientLine | null = null;
    const receiver = await openGroupReceiver(
      { group, port, chosen, ttl, offload, ownsProcess },
      {
        ...handler,
        onPackets: (bytes, start, end, address) => {
          line?.hear();
          return handler.onPackets(bytes, start, end, address);
        },
      },
    );
    const requests = await LastingSocket.open(
      {
        open: () => openRequestSocket(options, chosen),
        onMessage: (bytes, { address, port }) => handler.onAnswer(bytes, { address, port }),
      },
      new ReadTrouble("servers' answers", handler.onNotice),
    );
    line = new ClientLine(options, chosen, handler, receiver, requests);
    return line;
  }

  private hear(): void {
    this.hasHeard = true;
    this.isHeard = true;
  }

  private look(): void {
    this.stall.note(this.handler.isWell(this.isHeard));
    this.isHeard = false;
  }

  private renew(chosen: ChosenInterface): boolean {
    if (this.requests.current !== null) sendByAgain(this.requests.current, chosen);
    if (this.hasHeard) this.silence.hear(now());
    this.hasHeard = false;
    return this.receiver.tendMembership(chosen, this.silence.isDue(now()));
  }

  /** The server has answered: its stream is to come. */
  awaitStream(): void {
    this.stall.begin();
  }

  /** @param to null for wherever servers are looked for */
  send(bytes: Buffer, to: Address | null): void {
    const { group, serverHost, serverPort } = this.options;
    const port = to?.port ?? serverPort;
    const address = to?.address ?? serverHost ?? group;
    // While the socket is opened anew, nothing gets out; what matters is asked for again.
    this.requests.current?.send(bytes, port, address, (error) => {
      const code = (error as NodeJS.ErrnoException | null)?.code;
      if (code !== undefined) debug('request to %s: %s', address, code);
      const news =
        code === undefined
          ? this.trouble.succeeded(bytes.length)
          : this.trouble.failed(code, bytes.length, now());
      if (news !== null) this.tellTrouble(news, address);
    });
  }

  private tellTrouble(news: TroubleNews, address: string): void {
    const { onNotice } = this.handler;
    const place = `${address} on interface ${this.chosen.label}`;
    if (news.kind === 'over') onNotice('requests can be sent again');
    else if (news.isNew) onNotice(sendTroubleText(place, news.code));
  }

  /** Sends a last word, and closes. */
  async close(bytes: Buffer | null, to: Address | null): Promise<void> {
    clearInterval(this.renewal);
    clearInterval(this.looking);
    if (bytes !== null && to !== null) {
      const { port, address } = to;
      const socket = this.requests.current;
      await new Promise((resolve) => socket?.send(bytes, port, address, resolve) ?? resolve(null));
    }
    this.receiver.close();
    this.requests.close();
  }
}
