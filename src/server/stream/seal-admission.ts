/** Which sealed chunks may leave: each once, and the same ever after (`SealRegister`). */

import { kindOf, Space } from '../../protocol/block.js';
import { SEAL_BYTES } from '../../trust/seal.js';
import { SealRegister } from '../../trust/seal-register.js';
import type { ReadOutcome } from '../outputs.js';

export class SealAdmission {
  private readonly register: SealRegister;

  /** @param slots where chunks lie once they are sealed */
  constructor(
    chunkCount: number,
    private readonly slots: readonly Buffer[],
  ) {
    this.register = new SealRegister(chunkCount);
  }

  admits(chunk: number, slot: number, outcome: ReadOutcome & { kind: 'data' }): boolean {
    const { encodedLength, encoding, variant } = outcome;
    const kindByte = kindOf(Space.image, encoding, variant);
    const tag = this.slots[slot]!.subarray(encodedLength - SEAL_BYTES, encodedLength);
    return this.register.admit({ chunk, sealedBytes: encodedLength, kindByte }, tag);
  }
}
