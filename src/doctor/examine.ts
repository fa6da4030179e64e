/** All checks of a machine, causes before what they cause. */
import { type Check, inOrder } from './check.js';
import type { Facts } from './facts.js';
import { hostChecks } from './host-checks.js';
import { linkChecks } from './link-checks.js';
import { machineChecks } from './machine-checks.js';
import { pathChecks } from './path-checks.js';

export function examine(facts: Facts): Check[] {
  return inOrder([
    ...linkChecks(facts),
    ...hostChecks(facts),
    ...pathChecks(facts),
    ...machineChecks(facts),
  ]);
}
