/**
 * An expected failure: something a user can meet and do something about.
 * Anything else that is thrown is a bug of ours.
 */

/** Exit statuses of both programs, as documented in README.md. */
export const ExitStatus = {
  /** Client: a proven copy. Server: left as asked. */
  ok: 0,
  /** A bug of ours. */
  internal: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The target cannot be used, or failed while it was written. */
  target: 3,
  /** The source cannot be served, or changed while it was served. */
  source: 4,
  /** No server answered, or nothing came for longer than `--give-up`. */
  noServer: 5,
  /** More than one image to choose from, or not the image that was begun. */
  otherImage: 6,
  /** The network cannot be used as asked (port taken, unknown interface). */
  network: 7,
  /** `--check`: the target differs from the image. */
  differs: 8,
  /** Copies are proven, but what was to follow failed (`--fit`, `--then`, `--report`). */
  afterwards: 9,
  /** `--trust`: nobody signed the image that is served. */
  unsigned: 10,
  /** `--trust`: its signature is none, or false. */
  badSignature: 11,
  /** `--trust`: somebody else signed it. */
  otherSigner: 12,
  /** `--trust`: what was signed is a statement of another image. */
  otherStatement: 13,
  /** `--newer-than`: it was stated before that. */
  olderImage: 14,
  /** The stream is sealed with another key, or only one side has one. */
  otherKey: 15,
  /** Server: as many as were waited for came to their end, but not all with a copy. */
  incomplete: 16,
  /** `--doctor`: something is wrong. */
  unwell: 17,
  /** A part of the installation is missing, or Node is too old. */
  installation: 20,
  /** The terminal was closed (128 + SIGHUP). */
  hungUp: 129,
  /** Interrupted from the keyboard (128 + SIGINT). */
  interrupted: 130,
  /** Terminated (128 + SIGTERM). */
  terminated: 143,
} as const;

export type FailureKind = Exclude<keyof typeof ExitStatus, 'ok'>;

export class Failure extends Error {
  override readonly name = 'Failure';

  /**
   * @param kind decides the exit status
   * @param code stable, upper case, for scripts (`TARGET_TOO_SMALL`)
   * @param message one sentence that says what is wrong and what to do
   */
  constructor(
    readonly kind: FailureKind,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  get exitStatus(): number {
    return ExitStatus[this.kind];
  }
}
