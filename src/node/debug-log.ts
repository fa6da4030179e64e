/** What `DEBUG=multiserver:*` and `DEBUG=multiclient:*` show. */
import { createRequire } from 'node:module';
import type { Debugger } from 'debug';

/** The package is loaded only when somebody asks for it: it costs a tenth of a short run's start. */
export function debugLog(namespace: string): (format: string, ...values: unknown[]) => void {
  if (process.env.DEBUG === undefined) return () => {};
  const createDebug = createRequire(import.meta.url)('debug') as (name: string) => Debugger;
  return createDebug(namespace);
}
