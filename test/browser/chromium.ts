/**
 * A browser without a window, led through its DevTools protocol over a pipe: messages of JSON, each
 * ended by a zero byte. https://chromedevtools.github.io/devtools-protocol/
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { toolPath } from '../lab/tools.js';
import type { Host } from '../lab/world.js';

interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
  sessionId?: string;
}

type Settle = { resolve: (result: Record<string, unknown>) => void; reject: (e: Error) => void };

export class Chromium {
  private readonly child: ChildProcess;
  private readonly folder: string;
  private readonly waiting = new Map<number, Settle>();
  private nextId = 1;
  private rest = '';
  /** Hears what the browser tells unasked. */
  readonly listeners = new Set<(message: Message) => void>();

  private constructor(child: ChildProcess, folder: string) {
    this.child = child;
    this.folder = folder;
    const fromBrowser = child.stdio[4] as Readable;
    fromBrowser.setEncoding('utf8');
    fromBrowser.on('data', (text: string) => this.take(text));
    child.on('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('the browser is gone'));
    });
  }

  /** @param host in whose network it is; on this machine's own if not given */
  static start(host?: Host): Chromium {
    const folder = mkdtempSync(join(tmpdir(), 'chromium-'));
    const args = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--hide-scrollbars',
      '--remote-debugging-pipe',
      `--user-data-dir=${folder}`,
      'about:blank',
    ];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const;
    const path = toolPath('chromium');
    const [command, words] = host === undefined ? [path, args] : host.command(path, args);
    return new Chromium(spawn(command, words, { stdio: [...stdio] }), folder);
  }

  private take(text: string): void {
    const messages = (this.rest + text).split('\0');
    this.rest = messages.pop()!;
    for (const json of messages) {
      const message = JSON.parse(json) as Message;
      const settle = message.id === undefined ? undefined : this.waiting.get(message.id);
      if (settle === undefined) {
        for (const listener of this.listeners) listener(message);
        continue;
      }
      this.waiting.delete(message.id!);
      if (message.error === undefined) settle.resolve(message.result ?? {});
      else settle.reject(new Error(message.error.message));
    }
  }

  send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = this.nextId++;
    const toBrowser = this.child.stdio[3] as Writable;
    toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async newPage(): Promise<Page> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const attach = { targetId, flatten: true };
    const { sessionId } = await this.send('Target.attachToTarget', attach);
    const page = new Page(this, sessionId as string);
    await page.open();
    return page;
  }

  async close(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.send('Browser.close').catch(() => {});
    await gone;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Keys by their names, as the page hears them. */
const KEYS: Record<string, { code: string; windowsVirtualKeyCode: number; text?: string }> = {
  Tab: { code: 'Tab', windowsVirtualKeyCode: 9 },
  Enter: { code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
  Escape: { code: 'Escape', windowsVirtualKeyCode: 27 },
  End: { code: 'End', windowsVirtualKeyCode: 35 },
  Home: { code: 'Home', windowsVirtualKeyCode: 36 },
  ArrowUp: { code: 'ArrowUp', windowsVirtualKeyCode: 38 },
  ArrowDown: { code: 'ArrowDown', windowsVirtualKeyCode: 40 },
};

export class Page {
  /** Errors of the page, and what it was not allowed to do. */
  readonly troubles: string[] = [];
  /** Addresses that it asked for something. */
  readonly requests: string[] = [];
  private readonly browser: Chromium;
  private readonly session: string;

  constructor(browser: Chromium, session: string) {
    this.browser = browser;
    this.session = session;
  }

  private send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.browser.send(method, params, this.session);
  }

  async open(): Promise<void> {
    this.browser.listeners.add((message) => this.hear(message));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.send(`${domain}.enable`);
  }

  private hear({ method, params = {}, sessionId }: Message): void {
    if (sessionId !== this.session) return;
    if (method === 'Network.requestWillBeSent') {
      this.requests.push((params.request as { url: string }).url);
    } else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded') {
      this.troubles.push(JSON.stringify(params));
    }
  }

  async goTo(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
  }

  /** Runs a script in the page. @returns its value */
  async run<Value>(script: string): Promise<Value> {
    const expression = { expression: script, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', expression);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: Value }).value;
  }

  /** Waits until a script's value is true. @throws Error when it is not, for long */
  async until(script: string, mostMs = 20_000): Promise<void> {
    const endMs = Date.now() + mostMs;
    while (Date.now() < endMs) {
      if ((await this.run<boolean>(`Boolean(${script})`).catch(() => false)) === true) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`this never came true: ${script}`);
  }

  async press(key: string): Promise<void> {
    const details = { key, ...KEYS[key] };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...details });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...details });
  }

  async type(text: string): Promise<void> {
    await this.send('Input.insertText', { text });
  }

  async resize(width: number, height: number, isDark = false): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.send('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  /** @param isWhole beyond what is in sight */
  async screenshot(isWhole = false): Promise<Buffer> {
    const how = { format: 'png', captureBeyondViewport: isWhole };
    const { data } = await this.send('Page.captureScreenshot', how);
    return Buffer.from(data as string, 'base64');
  }
}
