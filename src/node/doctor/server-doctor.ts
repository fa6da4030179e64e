/** The doctor of a server: looks and asks for a few seconds, and answers the doctors of clients. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Check } from '../../doctor/check.js';
import { examine } from '../../doctor/examine.js';
import type { Facts } from '../../doctor/facts.js';
import { Failure } from '../../failure.js';
import type { ChosenInterface } from '../net/network-interface.js';
import type { ServerOptions } from '../options.js';
import { now } from '../system/clock.js';
import { AnsweringLine } from './answering-line.js';
import { readCounters } from './counters.js';
import { localFacts, noteKernel, usableInterface } from './local-facts.js';
import { PathProbing } from './path-probing.js';
import { holderOfPort } from './port-holder.js';
import { Prober } from './prober.js';
import { QuerierWatch } from './querier-watch.js';

/** The list is made by then, however long clients are answered afterwards. */
const LIST_BY_MS = 8000;

/**
 * @param stayMs clients are answered for so long
 * @param tell gets all checks, causes first, within ten seconds
 */
export async function doctorServer(
  options: ServerOptions,
  stayMs: number,
  tell: (checks: Check[]) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const endMs = now() + stayMs;
  const facts = await localFacts('server', options, '-s');
  const chosen = usableInterface(options);
  const line = chosen === null ? null : await openLine(facts, options, chosen);
  try {
    if (chosen !== null) await ask(facts, options, chosen, line, stayMs, signal);
    tell(examine(facts));
    if (line !== null) await sleep(Math.max(0, endMs - now()), undefined, { signal });
  } finally {
    line?.close();
  }
}

/** @returns null when the port is taken, or the group cannot be joined */
async function openLine(
  facts: Facts,
  options: ServerOptions,
  chosen: ChosenInterface,
): Promise<AnsweringLine | null> {
  try {
    return await AnsweringLine.open(options, chosen);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { serverPort } = options;
    if (error.code === 'PORT_TAKEN') {
      facts.port = { taken: serverPort, holder: holderOfPort(serverPort), option: '-s' };
    }
    return null;
  }
}

async function ask(
  facts: Facts,
  options: ServerOptions,
  chosen: ChosenInterface,
  line: AnsweringLine | null,
  stayMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { group, ttl } = options;
  const beganMs = now();
  const before = readCounters();
  const querier = QuerierWatch.open(chosen, group);
  let prober: Prober | null = null;
  try {
    prober = await Prober.open(chosen, { group, ttl });
    if (line !== null) line.ownClient = prober.client;
    const probing = new PathProbing(prober, facts.wanted);
    const others = await probing.discover(OTHERS_TURNS);
    // Clients that were started with it get their time.
    const waitMs = Math.min(stayMs, LIST_BY_MS) - (now() - beganMs);
    if (line !== null) await sleep(Math.max(0, waitMs), undefined, { signal });
    const askers = line === null ? [] : [...line.askers];
    facts.path = { ...(await probing.examine([])), servers: others, ...NOTHING, askers };
  } finally {
    noteKernel(facts, chosen, before);
    prober?.close();
    facts.querierHeard = querier?.close() ?? null;
  }
}

/** What only clients look for. */
const NOTHING = { elsewhere: null, atUsual: null, key: null };

/** Others are asked so often. */
const OTHERS_TURNS = 6;

/** The checks that need nobody else, for a server that runs. */
export async function lookAtServer(options: ServerOptions): Promise<Check[]> {
  const facts = await localFacts('server', options, '-s');
  const chosen = usableInterface(options);
  if (chosen !== null) noteKernel(facts, chosen, readCounters());
  return examine(facts);
}
