/** The page's elements. Text of clients goes in as text, never as markup. */

/** @throws Error when the page has no such element */
export function element<Kind extends HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found as Kind;
}

/** Sets what is shown, and touches nothing that is as it should be. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function setTextOf(id: string, text: string): void {
  setText(element(id), text);
}

/** @param ratio 0 to 1 */
export function setBar(bar: HTMLElement, ratio: number): void {
  const transform = `scaleX(${Math.min(1, Math.max(0, ratio)).toFixed(4)})`;
  if (bar.style.transform !== transform) bar.style.transform = transform;
}

export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = '',
  text = '',
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

/** A colour of the page, light or dark as it is now. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Calls back now, and whenever light becomes dark or the reverse. */
export function onScheme(draw: () => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  draw();
}
