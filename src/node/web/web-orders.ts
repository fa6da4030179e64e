/** What a POST to the fleet page's API orders. */
import type { ServerOperator } from '../fleet/server-operator.js';

export type Orders = Pick<
  ServerOperator,
  'start' | 'pause' | 'resume' | 'setRate' | 'release' | 'drop'
> & { stop(): void };

/** Status and text of an answer that is no success; null for one. */
type Refusal = { status: 400 | 404; text: string } | null;

const MAX_BITS_PER_SECOND = 1e12;
const MIN_BITS_PER_SECOND = 1e3;

/** @returns undefined when there is no such order */
export function carryOut(name: string, body: unknown, orders: Orders): Refusal | undefined {
  switch (name) {
    case 'start':
    case 'pause':
    case 'resume':
    case 'stop':
      orders[name]();
      return null;
    case 'rate':
      return setRate(body, orders);
    case 'release':
    case 'drop':
      return treatClient(name, body, orders);
    default:
      return undefined;
  }
}

/** @returns undefined when the body has no such field */
function fieldOf(body: unknown, name: string): unknown {
  const isObject = typeof body === 'object' && body !== null;
  return isObject ? (body as Record<string, unknown>)[name] : undefined;
}

function setRate(body: unknown, orders: Orders): Refusal {
  // No bound at all takes a null that was written: a body of another form must not lift it.
  const rate = body === null ? null : fieldOf(body, 'bitsPerSecond');
  const isRate =
    typeof rate === 'number' && rate >= MIN_BITS_PER_SECOND && rate <= MAX_BITS_PER_SECOND;
  if (rate !== null && !isRate) {
    return { status: 400, text: 'bitsPerSecond must be a number from 1000 to 1e12, or null' };
  }
  orders.setRate(rate as number | null);
  return null;
}

function treatClient(name: 'release' | 'drop', body: unknown, orders: Orders): Refusal {
  const id = fieldOf(body, 'id');
  if (typeof id !== 'string' || !/^[0-9a-f]{16}$/.test(id)) {
    return { status: 400, text: 'id must be the 16 hex digits of a client' };
  }
  return orders[name](id) ? null : { status: 404, text: 'there is no such client' };
}
