/** What the operator asks of the server. */
import { element, setText } from './elements.js';

type OrderName = 'start' | 'pause' | 'resume' | 'rate' | 'release' | 'drop' | 'stop';

/** Sends an order. What is refused is shown above everything. */
export async function order(name: OrderName, body: object = {}): Promise<void> {
  try {
    const response = await fetch(`/api/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) showTrouble(await response.text());
  } catch {
    showTrouble('The server does not answer.');
  }
}

/** @param text '' when there is none any more */
export function showTrouble(text: string): void {
  const banner = element('banner');
  setText(banner, text);
  banner.hidden = text === '';
}

/** Asks before what cannot be taken back. */
export async function confirmed(title: string, text: string, deed: string): Promise<boolean> {
  const dialog = element<HTMLDialogElement>('confirm-dialog');
  setText(element('confirm-title'), title);
  setText(element('confirm-text'), text);
  setText(element('confirm-ok'), deed);
  dialog.returnValue = 'cancel';
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'ok';
}
