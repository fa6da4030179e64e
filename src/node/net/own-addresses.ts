import { networkInterfaces } from 'node:os';

/** This machine's addresses, as they were last looked up: that takes longer than a request may. */
export class OwnAddresses {
  private known = new Set<string>();

  constructor() {
    this.lookUp();
  }

  lookUp(): void {
    const entries = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    this.known = new Set(entries.map(({ address }) => address));
  }

  /** @param address perhaps with a scope */
  has(address: string): boolean {
    return this.known.has(address.split('%')[0]!);
  }
}
