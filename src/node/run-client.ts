/** A client's run: refuses what can be refused early, waits for the network, and receives. */

import type { ClientEvent } from '../client/events.js';
import { Failure } from '../failure.js';
import { Client } from './client.js';
import { awaitInterface, refuseLargeMtu } from './net/network-interface.js';
import type { ClientOptions } from './options.js';
import { loadBlake3 } from './system/blake3.js';
import { refuseEarly } from './target/target.js';
import type { TargetPlan } from './target/target-plan.js';

/** @returns what was done with the target; null when it was not opened */
export async function runClient(
  options: ClientOptions,
  observe: (event: ClientEvent) => void,
  signal: AbortSignal,
): Promise<TargetPlan | null> {
  const plan = await refuseEarly(options);
  if (options.dryRun && plan?.kind === 'device') {
    const text = `${plan.path} is a ${plan.description}; the rest is said once an image is found`;
    observe({ type: 'notice', text });
  }
  const digestOf = await loadBlake3();
  for (;;) {
    signal.throwIfAborted();
    const tell = (text: string): void => observe({ type: 'notice', text });
    const { interface: wanted, group, giveUpMs = Number.POSITIVE_INFINITY } = options;
    const chosen = await awaitInterface(wanted, group, giveUpMs, tell, signal);
    refuseLargeMtu(options.mtu, chosen);
    const client = new Client(options, observe, chosen, digestOf);
    try {
      await client.open();
      await client.run(signal);
      return client.plan;
    } catch (error) {
      if (!options.follow || !isFollowed(error)) throw error;
      observe({ type: 'notice', text: `${error.message}; starting anew` });
    } finally {
      await client.close();
    }
  }
}

/** With `--follow`, these end a copy but not the run: another image is there, or will be. */
function isFollowed(error: unknown): error is Failure {
  return (
    error instanceof Failure && (error.code === 'OTHER_IMAGE' || error.code === 'SOURCE_CHANGED')
  );
}
