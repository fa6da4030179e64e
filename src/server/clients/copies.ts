/**
 * The machines that hold a proven copy. Each counts once, however often its client runs, and for as
 * long as the server does: the client table forgets, this does not. A machine that has its
 * target written anew holds no copy until that one is proven.
 *
 * Names of machines cost nothing to invent, addresses do: of those at one address one counts. Who
 * is known to be what he says has no address here.
 */

/** More than anybody images at once; reports that were made up must not fill the memory. */
const MAX_COPIES = 1_048_576;

export class Copies {
  /** By machine: the address that answers for it; null when it speaks for itself. */
  private readonly machines = new Map<bigint, string | null>();
  /** By address: how many machines there. */
  private readonly addresses = new Map<string, number>();
  private ownCount = 0;

  /** How many count. */
  get count(): number {
    return this.ownCount + this.addresses.size;
  }

  has(machine: bigint): boolean {
    return this.machines.has(machine);
  }

  /**
   * @param address where it is; null when it counts wherever it is
   * @returns false when another machine of its address counts already
   */
  add(machine: bigint, address: string | null): boolean {
    if (this.machines.size >= MAX_COPIES && !this.has(machine)) return false;
    this.remove(machine);
    this.machines.set(machine, address);
    if (address === null) {
      this.ownCount++;
      return true;
    }
    const others = this.addresses.get(address) ?? 0;
    this.addresses.set(address, others + 1);
    return others === 0;
  }

  /** @returns whether it held a copy so far */
  remove(machine: bigint): boolean {
    const address = this.machines.get(machine);
    if (address === undefined) return false;
    this.machines.delete(machine);
    if (address === null) {
      this.ownCount--;
      return true;
    }
    const others = this.addresses.get(address)! - 1;
    if (others === 0) this.addresses.delete(address);
    else this.addresses.set(address, others);
    return true;
  }
}
