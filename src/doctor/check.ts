/** A check: a question, what came of it, and what mends it. */

/**
 * All checks, causes before what they cause: of all that is wrong, the first one in this order is
 * to be mended first.
 */
export const QUESTIONS = {
  interface: 'Is it the right network interface?',
  carrier: 'Is it connected?',
  duplex: 'Do its speed and duplex suffice?',
  address: 'Has it an address?',
  route: 'Do routes lead to the group and the server?',
  port: 'Are the UDP ports free?',
  firewall: "Does this machine's firewall let the packets through?",
  conntrack: 'Has the table of connections room?',
  'reverse-path': 'Does the system believe where packets come from (rp_filter)?',
  membership: 'Is this machine a member of the group?',
  agreement: 'Do group and port agree?',
  'other-servers': 'Is there one server only?',
  strangers: 'Does nobody else send to the group?',
  server: 'Does the other side answer?',
  key: 'Have both sides the same key?',
  unicast: 'Do answers by unicast arrive?',
  'group-out': 'Do requests by multicast reach the server?',
  snooping: 'Do switches know who listens (IGMP)?',
  'group-in': 'Does multicast from the server arrive?',
  mtu: "Do the server's full packets arrive?",
  buffer: 'Is the receive buffer large enough?',
  loss: 'Is the path free of loss?',
  packages: 'Are the fast parts there?',
  machine: 'Are there cores and memory enough?',
  target: 'Can the target take the image?',
} as const;

export type CheckId = keyof typeof QUESTIONS;

/** Of `unknown`, nothing could be found out, or it does not matter here. */
export type Verdict = 'ok' | 'wrong' | 'unknown';

export interface Check {
  id: CheckId;
  question: string;
  verdict: Verdict;
  /** What was found, or why nothing could be. */
  finding: string;
  /** What mends it: a command, where there is one; null unless something is wrong. */
  remedy: string | null;
}

export function ok(id: CheckId, finding: string): Check {
  return { id, question: QUESTIONS[id], verdict: 'ok', finding, remedy: null };
}

export function wrong(id: CheckId, finding: string, remedy: string): Check {
  return { id, question: QUESTIONS[id], verdict: 'wrong', finding, remedy };
}

export function unknown(id: CheckId, why: string): Check {
  return { id, question: QUESTIONS[id], verdict: 'unknown', finding: why, remedy: null };
}

const ORDER = Object.keys(QUESTIONS) as CheckId[];

/** Causes first. */
export function inOrder(checks: readonly Check[]): Check[] {
  return [...checks].sort((a, b) => ORDER.indexOf(a.id) - ORDER.indexOf(b.id));
}

/** What to mend first, or null when nothing was found wrong. */
export function firstCause(checks: readonly Check[]): Check | null {
  return inOrder(checks).find(({ verdict }) => verdict === 'wrong') ?? null;
}
