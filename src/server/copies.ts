/**
 * The machines that hold a proven copy. Each counts once, however often its client runs, and for as
 * long as the server does: the client table forgets, this does not. A machine that has its
 * target written anew holds no copy until that one is proven.
 */

/** More than anybody images at once; reports that were made up must not fill the memory. */
const MOST_COPIES = 1_048_576;

export class Copies {
  readonly #machines = new Set<bigint>();

  get count(): number {
    return this.#machines.size;
  }

  has(machine: bigint): boolean {
    return this.#machines.has(machine);
  }

  add(machine: bigint): void {
    if (this.#machines.size < MOST_COPIES) this.#machines.add(machine);
  }

  /** @returns whether it held a copy so far */
  remove(machine: bigint): boolean {
    return this.#machines.delete(machine);
  }
}
