/** Decides for each chunk how it is compressed, and tells what was decided. */

import { Encoding } from '../../protocol/block.js';
import type { CompressionEvent } from '../events.js';
import type { ReadOutcome } from '../outputs.js';
import { AutoLevel } from './auto-level.js';

/** Who compresses. */
export type CompressionEngine = NonNullable<CompressionEvent['engine']>;

/** As `--compress` has it. */
export type CompressionSetting = 'auto' | 'off' | number;

interface LevelChoice {
  level: number;
  isRepeat: boolean;
  /** As it is, from end to end: for clients that hold an older version of it. */
  isPlain: boolean;
}

const NAMES: Record<CompressionEngine, string> = {
  node: "Node's zstd",
  library: "the system's zstd",
  wasm: 'zstd as WebAssembly',
};

export class Compression {
  private readonly setting: CompressionSetting;
  private readonly engine: CompressionEngine | null;
  private readonly auto: AutoLevel | null;
  /** For each chunk: 0 not sent yet, 1 sent raw, else the level and 1. */
  private readonly sent: Uint8Array;
  /** Chunks that go from end to end as they are: also what is unused of them. */
  private readonly forced = new Set<number>();
  private told = -1;

  /**
   * @param engine null where zstd cannot be had
   * @param linkBytesPerMs what the interface carries; null when unknown
   */
  constructor(
    setting: CompressionSetting,
    engine: CompressionEngine | null,
    chunkCount: number,
    linkBytesPerMs: number | null,
    /** What was sent once may be sent in no other encoding, save raw. */
    private readonly keepsFirst = false,
  ) {
    this.setting = engine === null ? 'off' : setting;
    this.engine = engine;
    this.auto = this.setting === 'auto' ? new AutoLevel(linkBytesPerMs) : null;
    this.sent = new Uint8Array(this.setting === 'off' ? 0 : chunkCount);
  }

  private get level(): number {
    if (this.setting === 'off') return 0;
    return this.auto?.level ?? (this.setting as number);
  }

  /**
   * @param mends it is read for repairs: clients hold other blocks of it, and those of another
   *   encoding would not fit them. What was not sent yet they hold as an older version has it.
   */
  choose(chunk: number, mends: boolean): LevelChoice {
    if (this.forced.has(chunk)) return { level: 0, isRepeat: true, isPlain: true };
    const sent = this.sent[chunk] ?? 0;
    if ((mends || this.keepsFirst) && sent > 0) {
      return { level: sent - 1, isRepeat: true, isPlain: false };
    }
    return { level: mends ? 0 : this.level, isRepeat: false, isPlain: mends };
  }

  /** The chunk goes raw from now on. */
  forceRaw(chunk: number): void {
    this.forced.add(chunk);
  }

  /** @param isBehind whether the network waits for chunks */
  noteRead(
    chunk: number,
    lengthBytes: number,
    choice: LevelChoice,
    outcome: ReadOutcome,
    isBehind: boolean,
    now: number,
  ): void {
    if (outcome.kind !== 'data') return;
    if (choice.isPlain && this.keepsFirst) this.forceRaw(chunk);
    if (this.setting === 'off' || choice.isPlain) return;
    // A frame that only leaves out what is unused comes of any level, and tells nothing of it.
    const hasShrunk = outcome.encoding === Encoding.zstd && outcome.variant > 0;
    this.sent[chunk] = hasShrunk ? choice.level + 1 : 1;
    if (!choice.isRepeat) this.auto?.note({ lengthBytes, isBehind, hasShrunk }, now);
  }

  /** What was decided, when that is news; not what is only being tried. */
  pollEvent(): CompressionEvent | null {
    const level = this.level;
    if (level === this.told || this.auto?.isTrying) return null;
    const isFirst = this.told < 0;
    this.told = level;
    const setting = `${this.setting}`;
    const engine = this.engine;
    return { type: 'compression', setting, level, engine, text: this.describe(level, isFirst) };
  }

  private describe(level: number, isFirst: boolean): string {
    if (this.engine === null) return 'compression off: zstd is not installed';
    if (this.setting === 'off') return 'compression off';
    const name = NAMES[this.engine];
    if (this.auto === null) return `compression at level ${level} with ${name}`;
    if (isFirst) return `compression as cores and network allow, from level ${level}, with ${name}`;
    if (level === 0)
      return 'compression off for now: the network is faster than the cores compress';
    return `compression at level ${level} from here: it moves most`;
  }
}
