/** Whether a server with a key has the one that was given here: it is asked with it. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyFacts } from '../../doctor/facts.js';
import type { Address } from '../../protocol/address.js';
import { encodeMapRequest } from '../../protocol/from-client.js';
import { decodeLocked } from '../../protocol/locked.js';
import { openPacket, PacketSealer } from '../../trust/control-seal.js';
import { NONCE_BYTES } from '../../trust/gcm.js';
import { controlKeysOf, DOOR_SESSION } from '../../trust/session-keys.js';
import type { Prober } from './prober.js';

const TURNS = 5;
const TURN_MS = 100;

/** Asks at the door, where nobody joins. A damaged request is refused as one of another key is. */
export async function askWithKey(
  prober: Prober,
  place: Address,
  secret: Uint8Array,
): Promise<KeyFacts> {
  const keys = controlKeysOf(secret, DOOR_SESSION);
  const sealer = new PacketSealer(keys.requests, randomBytes(NONCE_BYTES));
  const { client } = prober;
  const words = { client, machine: client, isServer: false, host: hostname() };
  let hasRefused = false;
  for (let turn = 0; turn < TURNS; turn++) {
    prober.send(sealer.seal(encodeMapRequest({ ...words, session: DOOR_SESSION })), place);
    await sleep(TURN_MS);
    for (const bytes of prober.takeOthers()) {
      if (openPacket(keys.answers, bytes) !== null) return 'same';
      if (decodeLocked(bytes) !== null) hasRefused = true;
    }
  }
  return hasRefused ? 'other' : 'silent';
}
