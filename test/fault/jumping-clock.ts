/**
 * Loaded ahead of a program: its wall clock jumps by up to a day, forth and back, at every look. It
 * stands for machines that set their clock while a copy is made.
 */

const dayMs = 86_400_000;
const RealDate = Date;
let looks = 0;

function jumpMs(): number {
  looks += 1;
  return ((looks * 7919) % 2000) / 1000 - 1;
}

class JumpingDate extends RealDate {
  constructor(...values: [] | [number]) {
    super(values.length === 0 ? JumpingDate.now() : values[0]);
  }

  static override now(): number {
    return RealDate.now() + Math.round(jumpMs() * dayMs);
  }
}

globalThis.Date = JumpingDate as DateConstructor;
