/**
 * The server's line to the network: what goes to the group, requests that come in, and answers to
 * them. It is kept up while interfaces and addresses change, and it says when nothing gets out.
 */

import type { ServerOptions } from '../options.js';
import { now } from '../system/clock.js';
import { debugLog } from '../system/debug-log.js';
import { AnswerSockets, type Asker, type RequestHandler } from './answer-sockets.js';
import type { GroupSender, Outgoing } from './group-socket.js';
import { LastingSocket } from './lasting-socket.js';
import { type Membership, SilenceWatch } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { openGroupSender } from './open-group.js';
import { OwnAddresses } from './own-addresses.js';
import { ReadTrouble } from './read-trouble.js';
import { sendByAgain, startRenewing } from './renewal.js';
import { openServerSocket, refuseTakenPort } from './request-socket.js';
import { sendTroubleText, Trouble } from './trouble.js';

const debug = debugLog('multiserver:requests');

/** With no request for so long, a switch may have forgotten that we listen. */
const SILENCE_MS = 60_000;

type SendDone = (error: Error | null) => void;

export class ServerLine {
  private readonly options: ServerOptions;
  private readonly chosen: ChosenInterface;
  private readonly tell: (text: string) => void;
  private readonly requests: LastingSocket;
  private readonly membership: () => Membership;
  private readonly ownAddresses = new OwnAddresses();
  private readonly silence = new SilenceWatch(SILENCE_MS, now());
  private readonly trouble = new Trouble();
  private readonly answers: AnswerSockets;
  private onRequest: RequestHandler | null = null;
  private renewal: NodeJS.Timeout | undefined;

  private constructor(
    options: ServerOptions,
    chosen: ChosenInterface,
    tell: (text: string) => void,
    requests: LastingSocket,
    membership: () => Membership,
    answers: AnswerSockets,
    /** What goes to the group. */
    readonly sender: GroupSender,
  ) {
    this.options = options;
    this.chosen = chosen;
    this.tell = tell;
    this.requests = requests;
    this.membership = membership;
    this.answers = answers;
  }

  /**
   * @param packetBytes length of a full block packet
   * @param tell gets what the operator should know
   * @throws Failure when the port is taken, or the group cannot be joined
   */
  static async open(
    options: ServerOptions,
    chosen: ChosenInterface,
    packetBytes: number,
    tell: (text: string) => void,
  ): Promise<ServerLine> {
    const { group, port, ttl, offload, ownsProcess = true } = options;
    let line: ServerLine | null = null;
    const take: RequestHandler = (bytes, from) => {
      if (line !== null) line.take(bytes, from);
    };
    const answers = new AnswerSockets(group, options.serverPort, take);
    await refuseTakenPort(options);
    // Before requests could come by the socket for all addresses.
    await answers.tend();
    let membership!: Membership;
    const requests = await LastingSocket.open(
      {
        async open() {
          const opened = await openServerSocket(options, chosen);
          membership = opened.membership;
          return opened.socket;
        },
        onMessage: (bytes, { address, port }) => take(bytes, { address, port }),
      },
      new ReadTrouble(`requests at port ${options.serverPort}`, tell),
    );
    const sender = await openGroupSender(
      { group, port, chosen, ttl, offload, ownsProcess },
      packetBytes,
    );
    line = new ServerLine(options, chosen, tell, requests, () => membership, answers, sender);
    return line;
  }

  /** The address that the stream comes from, as it is now. */
  get streamAddress(): string {
    return this.sender.sourceAddress.split('%')[0]!;
  }

  /** From now on requests are handed on. */
  listen(onRequest: RequestHandler): void {
    const { group, interface: wanted } = this.options;
    this.onRequest = onRequest;
    this.renewal = startRenewing(wanted, group, (chosen) => this.renew(chosen), this.tell);
  }

  private take(bytes: Buffer, from: Asker): void {
    this.silence.hear(now());
    // From the server's port it is its own question to other servers, which comes back to it.
    const { serverPort } = this.options;
    const isOwnMachine = from.port !== serverPort && this.ownAddresses.has(from.address);
    if (isOwnMachine) this.sender.loopBack();
    this.onRequest?.(bytes, from);
  }

  private renew(chosen: ChosenInterface): boolean {
    this.ownAddresses.lookUp();
    void this.answers.tend();
    this.sender.renew(chosen);
    if (this.requests.current === null) return false;
    sendByAgain(this.requests.current, chosen);
    return this.membership().tend(chosen, this.silence.isDue(now()));
  }

  sendToGroup(outgoing: Outgoing, done: SendDone): void {
    this.sender.send(outgoing, (error) => {
      this.noteSend(error, outgoing.packetBytes);
      done(error);
    });
  }

  /** Answers from the address that was asked. */
  answer(bytes: Buffer, length: number, to: Asker, done: SendDone): void {
    const { via } = to;
    const isOpen = via !== undefined && this.answers.isOpen(via);
    const socket = isOpen ? via : this.requests.current;
    if (socket === null) {
      // It is opened anew: the client asks again.
      done(null);
      return;
    }
    socket.send(bytes, 0, length, to.port, to.address, (error) => {
      if (error !== null) debug('answer: %s', error.message);
      done(error);
    });
  }

  /** Says when nothing gets out, and does what can be done. */
  private noteSend(error: Error | null, packetBytes: number): void {
    if (error === null) {
      if (this.trouble.succeeded(packetBytes) !== null) this.tell('packets can be sent again');
      return;
    }
    const code = (error as NodeJS.ErrnoException).code ?? error.message;
    const news = this.trouble.failed(code, packetBytes, now());
    if (news?.kind !== 'failing') return;
    const done = this.sender.mend(code);
    const place = `group ${this.options.group} on interface ${this.chosen.label}`;
    if (news.isNew) this.tell(sendTroubleText(place, code));
    if (done !== null) this.tell(done);
  }

  /** Requests are heard no more; what is said last can still be sent. */
  stopListening(): void {
    clearInterval(this.renewal);
  }

  close(): void {
    clearInterval(this.renewal);
    this.sender.close();
    this.answers.close();
    this.requests.close();
  }
}
