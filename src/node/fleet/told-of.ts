/** What a machine has told of itself, as the record and the fleet page give it to others. */
import type { FleetMember } from '../../server/events.js';

/** Null for what it does not know. */
export function toldOf({ identity, reason }: FleetMember) {
  return {
    label: identity.label || null,
    mac: identity.mac ?? null,
    product: identity.product ?? null,
    serial: identity.serial ?? null,
    diskModel: identity.diskModel ?? null,
    diskSerial: identity.diskSerial ?? null,
    diskBytes: identity.diskBytes ?? null,
    version: identity.version ?? null,
    reason: reason === '' ? null : reason,
  };
}
