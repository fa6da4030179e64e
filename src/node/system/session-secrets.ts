/** What a server draws by chance for each session. */

import { randomBytes } from 'node:crypto';
import { ServerSealing } from '../../server/sealing.js';
import { NONCE_BYTES } from '../../trust/gcm.js';
import { STREAM_SALT_BYTES } from '../../trust/session-keys.js';

/** Session 0 is where those meet that know no session yet. */
export function randomSession(): bigint {
  return randomBytes(8).readBigUInt64BE() || 1n;
}

/** What a sealed session of this number is sealed with. */
export function newSealing(session: bigint, secret: Buffer): ServerSealing {
  return new ServerSealing(session, {
    secret,
    streamSalt: randomBytes(STREAM_SALT_BYTES),
    nonces: {
      answers: randomBytes(NONCE_BYTES),
      doorAnswers: randomBytes(NONCE_BYTES),
      doorRequests: randomBytes(NONCE_BYTES),
      group: randomBytes(NONCE_BYTES),
    },
  });
}
