/** What happened, the latest first. */
import type { LogEntry } from '../node/web/api.js';
import { element, make } from './elements.js';
import { logWords } from './words.js';

const MAX_SHOWN = 300;

export class EventLog {
  private readonly list = element('log');

  begin(entries: readonly LogEntry[]): void {
    this.list.replaceChildren();
    this.add(entries);
  }

  add(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      const words = logWords(entry);
      if (words === null) continue;
      const item = make('li', words.tone);
      const time = make('time', '', new Date(entry.time).toTimeString().slice(0, 8));
      time.dateTime = entry.time;
      item.append(time, words.text);
      this.list.prepend(item);
    }
    while (this.list.childElementCount > MAX_SHOWN) this.list.lastElementChild!.remove();
  }
}
