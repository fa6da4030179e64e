/** Makes cases, keeps those that reach something new, and shortens those that break something. */

import type { Random } from '../sim/random.js';
import type { CoverageSignal } from './coverage.js';
import type { FuzzTarget } from './steps.js';

const mostSteps = 40;
const mostKept = 400;
const mostTriesToShorten = 600;

export interface Finding {
  target: string;
  message: string;
  steps: string[];
}

export class Fuzzer {
  private readonly target: FuzzTarget;
  private readonly random: Random;
  private readonly coverage: CoverageSignal | null;
  /** Cases that reached something that none before them did. */
  private readonly corpus: string[][] = [];
  private readonly known = new Set<string>();
  cases = 0;
  steps = 0;

  constructor(target: FuzzTarget, random: Random, coverage: CoverageSignal | null) {
    this.target = target;
    this.random = random;
    this.coverage = coverage;
  }

  get kept(): number {
    return this.corpus.length;
  }

  /** Kinds of faults that were found. */
  get faults(): number {
    return this.known.size;
  }

  /** Runs one case. @returns what it broke, shortened, if that is new, or null */
  once(): Finding | null {
    const steps = this.makeCase();
    this.cases += 1;
    this.steps += steps.length;
    const message = this.outcome(steps);
    if (message !== null) return this.find(steps, message);
    if (this.coverage !== null && this.coverage.take() > 0) this.keep(steps);
    return null;
  }

  private find(steps: string[], message: string): Finding | null {
    const kind = kindOf(message);
    if (this.known.has(kind)) return null;
    this.known.add(kind);
    return { target: this.target.name, message, steps: this.shorten(steps, message) };
  }

  private keep(steps: string[]): void {
    if (this.corpus.length < mostKept) this.corpus.push(steps);
    else this.corpus[this.random.below(mostKept)] = steps;
  }

  private makeCase(): string[] {
    const random = this.random;
    if (this.corpus.length === 0 || random.chance(0.3)) {
      const steps = [this.target.makeStart(random)];
      for (let left = random.below(mostSteps); left > 0; left--) steps.push(this.makeStep());
      return steps;
    }
    const steps = [...random.pick(this.corpus)];
    for (let changes = 1 + random.below(6); changes > 0; changes--) this.change(steps);
    return steps.slice(0, 2 * mostSteps);
  }

  private makeStep(): string {
    return this.target.makeStep(this.random);
  }

  /** Inserts, drops, repeats, swaps: what a network does to packets, and a forger besides. */
  private change(steps: string[]): void {
    const random = this.random;
    const at = 1 + random.below(steps.length);
    switch (random.below(6)) {
      case 0:
      case 1:
        steps.splice(at, 0, this.makeStep());
        break;
      case 2:
        steps.splice(at, 1);
        break;
      case 3:
        steps.splice(at, 0, ...steps.slice(at, at + 1 + random.below(4)));
        break;
      case 4: {
        const other = random.pick(this.corpus);
        steps.splice(at, random.below(4), ...other.slice(1 + random.below(other.length)));
        break;
      }
      default: {
        const [moved] = steps.splice(at, 1);
        if (moved !== undefined) steps.splice(1 + random.below(steps.length), 0, moved);
      }
    }
  }

  private outcome(steps: readonly string[]): string | null {
    try {
      this.target.run(steps);
      return null;
    } catch (error) {
      return firstLine(error);
    }
  }

  /** Leaves out what is not needed to break the same thing. */
  private shorten(steps: string[], message: string): string[] {
    let best = steps;
    let tries = 0;
    for (let size = Math.ceil(best.length / 2); size >= 1; size = size > 1 ? size >> 1 : 0) {
      for (let at = 0; at < best.length && tries < mostTriesToShorten; tries++) {
        const shorter = [...best.slice(0, at), ...best.slice(at + size)];
        const outcome = this.outcome(shorter);
        if (outcome !== null && kindOf(outcome) === kindOf(message)) best = shorter;
        else at += size;
      }
    }
    return best;
  }
}

function firstLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const where = error.name === 'BrokenPromise' ? '' : ` ${error.stack?.split('\n')[1]?.trim()}`;
  return `${error.name}: ${error.message.split('\n')[0]}${where}`;
}

/** The same fault with other numbers is the same fault. */
function kindOf(message: string): string {
  return message.replace(/\d+(\/\d+)?( \d+(\/\d+)?)*/g, '#');
}
