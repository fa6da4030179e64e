/** All that is known of one machine, and what can be done about it. */
import type { ClientRow } from '../node/web/api.js';
import { element, make, setText } from './elements.js';
import { isBusy, type Model, type ShownRow } from './model.js';
import { confirmed, order } from './orders.js';
import { factsOf } from './words.js';

export class MachineDialog {
  private readonly dialog = element<HTMLDialogElement>('machine-dialog');
  private readonly release = element<HTMLButtonElement>('release');
  private readonly drop = element<HTMLButtonElement>('drop');
  private openId: string | null = null;
  private shownFacts = '';

  constructor() {
    this.release.addEventListener('click', () => {
      if (this.openId !== null) void order('release', { id: this.openId });
      this.dialog.close();
    });
    this.drop.addEventListener('click', () => void this.askDrop());
    this.dialog.addEventListener('close', () => {
      this.openId = null;
    });
  }

  private async askDrop(): Promise<void> {
    const id = this.openId;
    const name = element('machine-name').textContent ?? '';
    this.dialog.close();
    const text =
      'It is told to end without a copy, and gets nothing more until it is started again.';
    if (id !== null && (await confirmed(`Drop ${name}?`, text, 'Drop it'))) {
      void order('drop', { id });
    }
  }

  open(row: ShownRow): void {
    if ('missing' in row) return;
    this.openId = row.id;
    this.shownFacts = '';
    this.fill(row);
    this.dialog.showModal();
  }

  /** Something changed: what is open is shown as it is now. */
  update({ rows }: Model): void {
    const row = this.openId === null ? undefined : rows.get(this.openId);
    if (row !== undefined) this.fill(row);
  }

  private fill(row: ClientRow): void {
    setText(element('machine-name'), row.label ?? row.host);
    setText(element('machine-sub'), `${row.host} · ${row.address}`);
    const facts = factsOf(row);
    const text = JSON.stringify(facts);
    if (text !== this.shownFacts) {
      const parts = facts.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]);
      element('machine-facts').replaceChildren(...parts);
      this.shownFacts = text;
    }
    this.release.disabled = row.isReleased || row.holdsCopy;
    this.drop.disabled = !isBusy(row) && row.state !== 'silent';
  }
}
