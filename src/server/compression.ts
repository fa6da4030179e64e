/** Decides for each chunk how it is compressed, and tells what was decided. */
import { Encoding } from '../protocol/block.js';
import { AutoLevel } from './auto-level.js';
import type { CompressionEvent } from './events.js';
import type { ReadOutcome } from './outputs.js';

/** Who compresses. */
export type CompressionEngine = NonNullable<CompressionEvent['engine']>;

/** As `--compress` has it. */
export type CompressionSetting = 'auto' | 'off' | number;

export interface LevelChoice {
  level: number;
  isRepeat: boolean;
}

const NAMES: Record<CompressionEngine, string> = {
  node: "Node's zstd",
  library: "the system's zstd",
  wasm: 'zstd as WebAssembly',
};

export class Compression {
  readonly #setting: CompressionSetting;
  readonly #engine: CompressionEngine | null;
  readonly #auto: AutoLevel | null;
  /** For each chunk: 0 not sent yet, 1 sent raw, else the level and 1. */
  readonly #sent: Uint8Array;
  #told = -1;

  /**
   * @param engine null where zstd cannot be had
   * @param linkBytesPerMs what the interface carries; null when unknown
   */
  constructor(
    setting: CompressionSetting,
    engine: CompressionEngine | null,
    chunkCount: number,
    linkBytesPerMs: number | null,
  ) {
    this.#setting = engine === null ? 'off' : setting;
    this.#engine = engine;
    this.#auto = this.#setting === 'auto' ? new AutoLevel(linkBytesPerMs) : null;
    this.#sent = new Uint8Array(this.#setting === 'off' ? 0 : chunkCount);
  }

  get #level(): number {
    if (this.#setting === 'off') return 0;
    return this.#auto?.level ?? (this.#setting as number);
  }

  /**
   * @param mends it is read again for repairs: clients hold other blocks of it, and those of
   *   another encoding would not fit them
   */
  choose(chunk: number, mends: boolean): LevelChoice {
    const sent = this.#sent[chunk] ?? 0;
    if (mends && sent > 0) return { level: sent - 1, isRepeat: true };
    return { level: this.#level, isRepeat: false };
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
    if (this.#setting === 'off' || outcome.kind !== 'data') return;
    const hasShrunk = outcome.encoding === Encoding.zstd;
    this.#sent[chunk] = hasShrunk ? choice.level + 1 : 1;
    if (!choice.isRepeat) this.#auto?.note({ lengthBytes, isBehind, hasShrunk }, now);
  }

  /** What was decided, when that is news; not what is only being tried. */
  pollEvent(): CompressionEvent | null {
    const level = this.#level;
    if (level === this.#told || this.#auto?.isTrying) return null;
    const isFirst = this.#told < 0;
    this.#told = level;
    const setting = `${this.#setting}`;
    const engine = this.#engine;
    return { type: 'compression', setting, level, engine, text: this.#describe(level, isFirst) };
  }

  #describe(level: number, isFirst: boolean): string {
    if (this.#engine === null) return 'compression off: zstd is not installed';
    if (this.#setting === 'off') return 'compression off';
    const name = NAMES[this.#engine];
    if (this.#auto === null) return `compression at level ${level} with ${name}`;
    if (isFirst) return `compression as cores and network allow, from level ${level}, with ${name}`;
    if (level === 0)
      return 'compression off for now: the network is faster than the cores compress';
    return `compression at level ${level} from here: it moves most`;
  }
}
