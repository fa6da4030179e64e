/** Virtual time: what is to happen, in order. Ties go to what was put down first. */

type Act = () => void;

export class Agenda {
  /** Now, in virtual ms. */
  now = 0;
  /** Events so far. */
  count = 0;
  private readonly times: number[] = [];
  private readonly orders: number[] = [];
  private readonly acts: Act[] = [];
  private order = 0;

  get isEmpty(): boolean {
    return this.times.length === 0;
  }

  /** Does `act` at `time`, or now if that has passed. */
  at(time: number, act: Act): void {
    let child = this.times.length;
    this.times.push(Math.max(time, this.now));
    this.orders.push(this.order++);
    this.acts.push(act);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  after(delayMs: number, act: Act): void {
    this.at(this.now + delayMs, act);
  }

  /** Does the next thing. @returns false when there is none before `untilMs` */
  step(untilMs: number): boolean {
    const time = this.times[0];
    if (time === undefined || time > untilMs) return false;
    const act = this.acts[0]!;
    const last = this.times.length - 1;
    this.swap(0, last);
    this.times.pop();
    this.orders.pop();
    this.acts.pop();
    this.sink();
    this.now = time;
    this.count++;
    act();
    return true;
  }

  private sink(): void {
    for (let parent = 0; ; ) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < this.times.length && this.isBefore(child, least)) least = child;
      }
      if (least === parent) return;
      this.swap(parent, least);
      parent = least;
    }
  }

  private isBefore(a: number, b: number): boolean {
    const between = this.times[a]! - this.times[b]!;
    return between < 0 || (between === 0 && this.orders[a]! < this.orders[b]!);
  }

  private swap(a: number, b: number): void {
    swap(this.times, a, b);
    swap(this.orders, a, b);
    swap(this.acts, a, b);
  }
}

function swap<T>(items: T[], a: number, b: number): void {
  const item = items[a]!;
  items[a] = items[b]!;
  items[b] = item;
}
