/** Signs as minisign does, for tests: what it makes, Debian's own minisign takes as well. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** Before the 32 bytes of an Ed25519 seed: PKCS #8 in DER (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export class Signer {
  readonly publicKeyLine: string;
  private readonly key: KeyObject;

  /** @param seed 32 bytes; @param keyId 8 bytes */
  constructor(
    seed: Buffer,
    private readonly keyId: Buffer,
  ) {
    const der = Buffer.concat([PKCS8_PREFIX, seed]);
    this.key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.key).export({ format: 'der', type: 'spki' });
    const bytes = Buffer.concat([Buffer.from('Ed'), keyId, spki.subarray(-32)]);
    this.publicKeyLine = bytes.toString('base64');
  }

  get publicKeyFile(): string {
    return `untrusted comment: a key of the tests\n${this.publicKeyLine}\n`;
  }

  /** The text of a `.minisig` file. */
  sign(file: Buffer, { isPrehashed = true, comment = 'a comment' } = {}): string {
    const message = isPrehashed ? createHash('blake2b512').update(file).digest() : file;
    const signature = sign(null, message, this.key);
    const algorithm = Buffer.from(isPrehashed ? 'ED' : 'Ed');
    const first = Buffer.concat([algorithm, this.keyId, signature]).toString('base64');
    const covered = Buffer.concat([signature, Buffer.from(comment)]);
    const second = sign(null, covered, this.key).toString('base64');
    return `untrusted comment: of the tests\n${first}\ntrusted comment: ${comment}\n${second}\n`;
  }
}
