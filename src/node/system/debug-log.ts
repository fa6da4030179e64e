/** What `DEBUG=multiserver:*` and `DEBUG=multiclient:*` show. */

import { createRequire } from 'node:module';
import type { Debugger } from 'debug';

export type DebugLog = (format: string, ...values: unknown[]) => void;

/**
 * The package is loaded only when somebody asks for it: it costs a tenth of a short run's start.
 */
export function debugLog(namespace: string): DebugLog {
  if (process.env.DEBUG === undefined) return () => {};
  const createDebug = createRequire(import.meta.url)('debug') as (name: string) => Debugger;
  return createDebug(namespace);
}
