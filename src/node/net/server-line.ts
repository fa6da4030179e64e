/**
 * The server's line to the network: what goes to the group, requests that come in, and answers to
 * them. It is kept up while interfaces and addresses change, and it says when nothing gets out.
 */
import type dgram from 'node:dgram';
import { now } from '../clock.js';
import { debugLog } from '../debug-log.js';
import type { ServerOptions } from '../options.js';
import { AnswerSockets, type AskingPeer, type RequestHandler } from './answer-sockets.js';
import { type GroupSender, type Outgoing, openGroupSender } from './group-sender.js';
import { type Membership, SilenceWatch } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { OwnAddresses } from './own-addresses.js';
import { sendByAgain, startRenewing } from './renewal.js';
import { bindServerSocket } from './request-socket.js';
import { SendTrouble, troubleText } from './send-trouble.js';
import { createUdpSocket } from './socket-options.js';

const debug = debugLog('multiserver:requests');

/** With no request for so long, a switch may have forgotten that we listen. */
const SILENCE_MS = 60_000;

export type SendDone = (error: Error | null) => void;

export class ServerLine {
  readonly #options: ServerOptions;
  readonly #chosen: ChosenInterface;
  readonly #tell: (text: string) => void;
  readonly #socket: dgram.Socket;
  readonly #membership: Membership;
  readonly #ownAddresses = new OwnAddresses();
  readonly #silence = new SilenceWatch(SILENCE_MS, now());
  readonly #trouble = new SendTrouble();
  readonly #answers: AnswerSockets;
  #onRequest: RequestHandler | null = null;
  #renewal: NodeJS.Timeout | undefined;

  private constructor(
    options: ServerOptions,
    chosen: ChosenInterface,
    tell: (text: string) => void,
    socket: dgram.Socket,
    membership: Membership,
    answers: AnswerSockets,
    /** What goes to the group. */
    readonly sender: GroupSender,
  ) {
    this.#options = options;
    this.#chosen = chosen;
    this.#tell = tell;
    this.#socket = socket;
    this.#membership = membership;
    this.#answers = answers;
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
    const { group, port, ttl, offload } = options;
    const socket = createUdpSocket(group, { reuse: true });
    let line: ServerLine | null = null;
    const take: RequestHandler = (bytes, from) => {
      if (line !== null) line.#take(bytes, from);
    };
    const answers = new AnswerSockets(group, options.serverPort, take);
    const membership = await bindServerSocket(socket, options, chosen, () => answers.tend());
    socket.on('message', (bytes, { address, port }) => take(bytes, { address, port }));
    const sender = await openGroupSender({ group, port, chosen, ttl, offload }, packetBytes);
    line = new ServerLine(options, chosen, tell, socket, membership, answers, sender);
    return line;
  }

  /** The address that the stream comes from, as it is now. */
  get streamAddress(): string {
    return this.sender.sourceAddress.split('%')[0]!;
  }

  /** From now on requests are handed on. */
  listen(onRequest: RequestHandler): void {
    const { group, interface: wanted } = this.#options;
    this.#onRequest = onRequest;
    this.#renewal = startRenewing(wanted, group, (chosen) => this.#renew(chosen), this.#tell);
  }

  #take(bytes: Buffer, from: AskingPeer): void {
    this.#silence.hear(now());
    // From the server's port it is the server's own question to other servers, which comes back to it.
    const { serverPort } = this.#options;
    const isOwnMachine = from.port !== serverPort && this.#ownAddresses.has(from.address);
    if (isOwnMachine) this.sender.loopBack();
    this.#onRequest?.(bytes, from);
  }

  #renew(chosen: ChosenInterface): boolean {
    this.#ownAddresses.lookUp();
    void this.#answers.tend();
    this.sender.renew(chosen);
    sendByAgain(this.#socket, chosen);
    return this.#membership.tend(chosen, this.#silence.isDue(now()));
  }

  sendToGroup(outgoing: Outgoing, done: SendDone): void {
    this.sender.send(outgoing, (error) => {
      this.#noteSend(error, outgoing.packetBytes);
      done(error);
    });
  }

  /** Answers from the address that was asked. */
  answer(bytes: Buffer, length: number, to: AskingPeer, done: SendDone): void {
    const { via } = to;
    const isOpen = via !== undefined && this.#answers.isOpen(via);
    (isOpen ? via : this.#socket).send(bytes, 0, length, to.port, to.address, (error) => {
      if (error !== null) debug('answer: %s', error.message);
      done(error);
    });
  }

  /** Says when nothing gets out, and does what can be done. */
  #noteSend(error: Error | null, packetBytes: number): void {
    if (error === null) {
      if (this.#trouble.succeeded(packetBytes) !== null) this.#tell('packets can be sent again');
      return;
    }
    const code = (error as NodeJS.ErrnoException).code ?? error.message;
    const news = this.#trouble.failed(code, packetBytes, now());
    if (news?.kind !== 'failing') return;
    const done = this.sender.mend(code);
    const place = `group ${this.#options.group} on interface ${this.#chosen.label}`;
    if (news.isNew) this.#tell(troubleText(place, code));
    if (done !== null) this.#tell(done);
  }

  /** Requests are heard no more; what is said last can still be sent. */
  stopListening(): void {
    clearInterval(this.#renewal);
  }

  close(): void {
    clearInterval(this.#renewal);
    this.sender.close();
    this.#answers.close();
    this.#socket.close();
  }
}
