/**
 * Whose image may be taken: that of the map id which the operator gave, or one that the owner of a
 * trusted key has signed. Servers of other images are named once each, and passed over.
 */

import { Failure, type FailureKind } from '../../failure.js';
import type { Address } from '../../protocol/address.js';
import type { ImageDescription } from '../../protocol/from-server.js';
import { encodeStatementRequest, type StatementAnswer } from '../../protocol/statement-packets.js';
import { isSignedBy, type PublicKey, parseSignature } from '../../trust/minisign.js';
import { parseStatement } from '../../trust/statement.js';
import type { ClientConfig } from '../config.js';
import type { Outbox } from '../outputs.js';

/** Strangers must not fill the screen, nor the memory. */
const MAX_TOLD = 16;
const MAX_ASKED = 256;

interface Asked {
  description: ImageDescription;
  from: Address;
}

interface Signer {
  keyId: string;
  comment: string;
}

export class Vetting {
  private readonly trusted: readonly PublicKey[];
  private readonly told = new Set<string>();
  /** Servers whose statement is awaited. Only what was asked for is worth a signature's check. */
  private readonly asked = new Map<string, Asked>();
  /** Of offers whose signature holds. */
  private readonly signers = new Map<string, Signer>();
  private latest: Failure | null = null;
  private chosenId: string | null = null;

  constructor(
    private readonly config: ClientConfig,
    private readonly outbox: Outbox,
  ) {
    this.trusted = config.trusted ?? [];
  }

  /** Not any image may be taken: nothing of one is written before it is proven. */
  get isStrict(): boolean {
    return this.config.expect !== undefined || this.trusted.length > 0;
  }

  /** No other server is looked for. */
  private get isServerNamed(): boolean {
    return this.config.serverHost !== undefined;
  }

  /** How the id of the image begins that is taken, in hex; null when any is as good as another. */
  get pinnedId(): string | null {
    return this.chosenId;
  }

  /** This image is taken, and no other from now on. */
  pin({ mapId }: ImageDescription): void {
    if (this.isStrict) this.chosenId = this.config.expect ?? mapId!.toString('hex');
  }

  /** Says who signed the image that is taken. */
  tellSigner({ session }: ImageDescription, from: Address): void {
    const signer = this.signers.get(keyOf(session, from));
    if (signer !== undefined) this.outbox.tell({ type: 'image-signed', ...signer });
  }

  /** Why the server heard last was passed over; null when none was. */
  get refusal(): Failure | null {
    return this.latest;
  }

  /**
   * Whether a server's image may be taken. One that may not is told of; of one that may, the
   * statement is asked for if it has to be signed.
   */
  admits(description: ImageDescription, from: Address): boolean {
    if (!this.isStrict) return true;
    const { mapId } = description;
    const { expect } = this.config;
    if (mapId === null) return this.refuse(description, from, 'noServer', 'NO_SERVER', NO_MAP);
    const id = mapId.toString('hex');
    if (expect !== undefined && !id.startsWith(expect)) {
      const text = `and not the one expected, ${expect.slice(0, 16)}`;
      return this.refuse(description, from, 'otherImage', 'EXPECTED_OTHER', text);
    }
    if (this.trusted.length === 0) return true;
    this.ask(description, from);
    return false;
  }

  private ask(description: ImageDescription, from: Address): void {
    const { session } = description;
    if (this.asked.size >= MAX_ASKED) this.asked.clear();
    this.asked.set(keyOf(session, from), { description, from });
    this.outbox.send(encodeStatementRequest({ session, client: this.config.client }), from);
  }

  /**
   * Takes what a server says of whose image it has.
   * @returns its description, when its image may be taken
   */
  takeStatement(answer: StatementAnswer, from: Address): ImageDescription | null {
    const key = keyOf(answer.session, from);
    const asked = this.asked.get(key);
    if (asked === undefined || answer.client !== this.config.client) return null;
    this.asked.delete(key);
    const { description } = asked;
    return this.isTrusted(answer, description, from) ? description : null;
  }

  private isTrusted(
    { statement: bytes, signature: signatureBytes }: StatementAnswer,
    description: ImageDescription,
    from: Address,
  ): boolean {
    const refuse = (kind: FailureKind, code: string, text: string) =>
      this.refuse(description, from, kind, code, text);
    if (signatureBytes.length === 0) return refuse('unsigned', 'NOT_SIGNED', 'which nobody signed');
    const signature = parseSignature(signatureBytes);
    if (signature === null) return refuse('badSignature', 'BAD_SIGNATURE', 'with no signature');
    // Ids tell keys apart, but anybody can make another key of the same id.
    const keys = this.trusted.filter(({ id }) => id === signature.keyId);
    if (keys.length === 0) {
      const text = `signed by key ${signature.keyId}, which is not trusted here`;
      return refuse('otherSigner', 'OTHER_SIGNER', text);
    }
    if (!keys.some((publicKey) => isSignedBy(publicKey, bytes, signature))) {
      return refuse('badSignature', 'BAD_SIGNATURE', 'with a signature that is false');
    }
    const statement = parseStatement(bytes);
    const isOfImage =
      statement?.name === description.name &&
      statement.sizeBytes === description.imageSize &&
      statement.chunkSizeBytes === description.chunkSize &&
      statement.mapId === description.mapId!.toString('hex');
    if (!isOfImage) {
      return refuse('otherStatement', 'OTHER_STATEMENT', 'with the statement of another image');
    }
    const { newerThan } = this.config;
    if (newerThan !== undefined && statement.time < newerThan) {
      const text = `stated at ${statement.time}, which is older than asked for`;
      return refuse('olderImage', 'OLDER_IMAGE', text);
    }
    const comment = signature.trustedComment.toString();
    if (this.signers.size >= MAX_ASKED) this.signers.clear();
    this.signers.set(keyOf(description.session, from), { keyId: signature.keyId, comment });
    return true;
  }

  /** @param hasKey whether it is another key that the server has, or there is none here */
  hearLocked({ address }: Address, hasKey: boolean): void {
    const text = hasKey
      ? `the server at ${address} has another key than the one in --key`
      : `the server at ${address} serves a sealed image: give the key to it with --key FILE`;
    const why = new Failure('otherKey', hasKey ? 'OTHER_KEY' : 'KEY_NEEDED', text);
    if (this.isServerNamed && !hasKey) this.outbox.fail(why);
    else this.note(address, why);
  }

  /** With a key: a server sends to the group in the open. */
  hearOpen(): void {
    const text = 'a server sends to this group in the open, without a key: it is passed over';
    this.note('', new Failure('otherKey', 'NOT_SEALED', text));
  }

  private note(address: string, why: Failure): void {
    this.latest = why;
    const key = `${address} ${why.code}`;
    if (this.told.has(key) || this.told.size >= MAX_TOLD) return;
    this.told.add(key);
    this.outbox.notice(why.message);
  }

  /** @param text what is wrong with the image, as the end of a sentence */
  private refuse(
    description: ImageDescription,
    from: Address,
    kind: FailureKind,
    code: string,
    text: string,
  ): false {
    const id = description.mapId?.toString('hex') ?? null;
    const image = id === null ? '' : `image ${id.slice(0, 16)}, `;
    const server = `the server at ${from.address} serves '${description.name}', ${image}${text}`;
    this.latest = new Failure(kind, code, server);
    // What ends the run is its last word, and need not be said before.
    if (this.isServerNamed && kind !== 'noServer') this.outbox.fail(this.latest);
    else this.tell(description, from, this.latest);
    return false;
  }

  private tell({ session, name, mapId }: ImageDescription, from: Address, why: Failure): void {
    const key = `${keyOf(session, from)} ${why.code}`;
    if (this.told.has(key) || this.told.size >= MAX_TOLD) return;
    this.told.add(key);
    this.outbox.tell({
      type: 'server-passed-over',
      address: from.address,
      name,
      mapId: mapId?.toString('hex') ?? null,
      code: why.code,
      text: why.message,
    });
  }
}

const NO_MAP = 'whose map it still makes: it is asked until it names it';

const keyOf = (session: bigint, { address, port }: Address): string =>
  `${address} ${port} ${session}`;
