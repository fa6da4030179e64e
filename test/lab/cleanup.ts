/**
 * What must not outlive this process: namespaces, loop devices, scratch folders, children.
 * Each is registered here when it is made, so that a failed test, an exception or Ctrl-C
 * leaves the machine as it was.
 */

const pending = new Set<() => void>();
let installed = false;

function runAll(): void {
  // Newest first: a loop device goes before the file behind it.
  for (const undo of [...pending].reverse()) {
    pending.delete(undo);
    try {
      undo();
    } catch (error) {
      process.stderr.write(`cleaning up: ${error}\n`);
    }
  }
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on('exit', runAll);
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => process.exit(status));
  }
}

/**
 * Registers a synchronous action for the end of this process, whatever ends it.
 *
 * @returns does the action now, once; to be called when the thing is no longer wanted
 */
export function onCleanup(undo: () => void): () => void {
  install();
  pending.add(undo);
  return () => {
    if (pending.delete(undo)) undo();
  };
}
