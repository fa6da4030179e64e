/**
 * Errors without a note of where they happened. An empty socket is an error to Node: to note that
 * would cost more than ten datagrams.
 *
 * The setting is the whole process's. So it is changed for the time of one read only, and only by
 * sockets of a run that owns its process. May be deleted with `socket-reader.ts`.
 */

/** @returns what `restoreTraces` wants back */
export function dropTraces(): number {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  return before;
}

export function restoreTraces(before: number): void {
  Error.stackTraceLimit = before;
}
