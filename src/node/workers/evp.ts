/**
 * AES-256-GCM by the OpenSSL that Node itself is made with, through koffi: it works where the
 * bytes lie. Node's own ciphers hand each piece out in new memory, which takes twice as long.
 * Where Node does not show its OpenSSL, `node:crypto` does the same.
 */
import { createRequire } from 'node:module';
import { type Gcm, NODE_GCM, TAG_BYTES } from '../../trust/gcm.js';

const GET_TAG = 0x10;
const SET_TAG = 0x11;
const INIT = 'void *context, void *cipher, void *engine, const uint8_t *key, const uint8_t *nonce';
const UPDATE = 'void *context, uint8_t *to, uint8_t *written, const uint8_t *from, int length';

let loaded: Gcm | undefined;

/** Of this thread: the fastest there is. */
export function loadGcm(): Gcm {
  if (loaded === undefined) {
    const evp = openEvp();
    loaded = evp !== null && isRight(evp) ? evp : NODE_GCM;
  }
  return loaded;
}

function openEvp(): Gcm | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const openssl = koffi.load(null);
    const control = openssl.func(
      'int EVP_CIPHER_CTX_ctrl(void *context, int type, int argument, uint8_t *bytes)',
    );
    const cipher = openssl.func('void *EVP_aes_256_gcm()')();
    const newContext = openssl.func('void *EVP_CIPHER_CTX_new()');
    const encryptInit = openssl.func(`int EVP_EncryptInit_ex(${INIT})`);
    const encryptUpdate = openssl.func(`int EVP_EncryptUpdate(${UPDATE})`);
    const encryptFinal = openssl.func(
      'int EVP_EncryptFinal_ex(void *context, uint8_t *to, uint8_t *written)',
    );
    const decryptInit = openssl.func(`int EVP_DecryptInit_ex(${INIT})`);
    const decryptUpdate = openssl.func(`int EVP_DecryptUpdate(${UPDATE})`);
    const decryptFinal = openssl.func(
      'int EVP_DecryptFinal_ex(void *context, uint8_t *to, uint8_t *written)',
    );
    const written = Buffer.alloc(4);
    const rest = Buffer.alloc(16);
    const encryptor = new Context(newContext, encryptInit, cipher);
    const decryptor = new Context(newContext, decryptInit, cipher);
    return {
      seal(key, nonce, bytes, lengthBytes) {
        if (bytes.length < lengthBytes + TAG_BYTES) throw new RangeError('no room for the tag');
        const context = encryptor.begin(key, nonce);
        expect(encryptUpdate(context, bytes, written, bytes, lengthBytes));
        expect(encryptFinal(context, rest, written));
        const tag = bytes.subarray(lengthBytes, lengthBytes + TAG_BYTES);
        expect(control(context, GET_TAG, TAG_BYTES, tag));
      },
      open(key, nonce, bytes, sealedBytes) {
        const lengthBytes = sealedBytes - TAG_BYTES;
        if (lengthBytes < 0 || sealedBytes > bytes.length) return false;
        const context = decryptor.begin(key, nonce);
        expect(decryptUpdate(context, bytes, written, bytes, lengthBytes));
        expect(control(context, SET_TAG, TAG_BYTES, bytes.subarray(lengthBytes, sealedBytes)));
        return decryptFinal(context, rest, written) > 0;
      },
      restore(key, nonce, bytes, sealedBytes) {
        const context = encryptor.begin(key, nonce);
        expect(encryptUpdate(context, bytes, written, bytes, sealedBytes - TAG_BYTES));
      },
    };
  } catch {
    return null;
  }
}

function expect(result: number): void {
  if (result !== 1) throw new Error('OpenSSL refuses');
}

/** A context of OpenSSL, kept for the thread's life: what a key is made ready for is done once. */
class Context {
  private readonly context: unknown;
  private key: Uint8Array = Buffer.alloc(0);

  constructor(
    newContext: () => unknown,
    private readonly init: (...words: unknown[]) => number,
    private readonly cipher: unknown,
  ) {
    this.context = newContext();
  }

  begin(key: Uint8Array, nonce: Uint8Array): unknown {
    if (Buffer.compare(this.key, key) !== 0) {
      expect(this.init(this.context, this.cipher, null, key, nonce));
      this.key = Buffer.from(key);
    } else {
      expect(this.init(this.context, null, null, null, nonce));
    }
    return this.context;
  }
}

/** Whether it makes and takes what `node:crypto` does: another OpenSSL must not be guessed at. */
function isRight(gcm: Gcm): boolean {
  const key = Buffer.alloc(32, 0x17);
  const nonce = Buffer.alloc(12, 0x2a);
  const lengthBytes = 100;
  const [ours, nodes] = [0, 1].map(() => Buffer.alloc(lengthBytes + TAG_BYTES, 'text')) as [
    Buffer,
    Buffer,
  ];
  try {
    gcm.seal(key, nonce, ours, lengthBytes);
    NODE_GCM.seal(key, nonce, nodes, lengthBytes);
    if (!ours.equals(nodes)) return false;
    ours[0]! ^= 1;
    if (gcm.open(key, nonce, ours, ours.length)) return false;
    gcm.restore(key, nonce, ours, ours.length);
    ours[0]! ^= 1;
    return ours.equals(nodes) && gcm.open(key, nonce, ours, ours.length);
  } catch {
    return false;
  }
}
