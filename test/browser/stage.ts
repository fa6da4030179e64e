/** A server in a network of its own, with a browser beside it on the same host. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ServerProgram, startServer } from '../lab/programs.js';
import { Scratch } from '../lab/scratch.js';
import { type LinkOptions, World } from '../lab/world.js';
import { Chromium, type Page } from './chromium.js';

/** Names a folder that gets the screenshots. */
const SCREENSHOTS = process.env.SCREENSHOTS;
const HANG_MS = 110_000;

export interface Stage {
  world: World;
  scratch: Scratch;
  browser: Chromium;
  page: Page;
  /** Starts a server on host 1, with its page. @returns where that is */
  serve(args: string[], web?: string): Promise<{ server: ServerProgram; url: string }>;
  /** Keeps what the page shows, at both widths, light and dark, where somebody wants to see it. */
  keep(name: string): Promise<void>;
}

/** @param hosts what the links of the hosts are like; the server's is first */
export function browserTest(
  name: string,
  hosts: LinkOptions[],
  body: (stage: Stage) => Promise<void>,
): void {
  test(name, { timeout: HANG_MS }, async () => {
    const world = new World({ hosts });
    const scratch = new Scratch();
    const browser = Chromium.start(world.host(1));
    try {
      const page = await browser.newPage();
      const serve: Stage['serve'] = async (args, web = '0') => {
        const server = startServer(world.host(1), [...args, '--web', web]);
        const { url } = await server.waitFor('page');
        return { server, url };
      };
      await page.resize(1280, 900);
      await body({ world, scratch, browser, page, serve, keep: (shot) => keep(page, shot) });
    } finally {
      await browser.close();
      await world.close();
      scratch.close();
    }
  });
}

async function keep(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [width, height] of [
    [1280, 900],
    [390, 844],
  ] as const) {
    for (const isDark of [false, true]) {
      await page.resize(width, height, isDark);
      // Two frames, and the bars have moved.
      await page.run('new Promise((done) => setTimeout(done, 500))');
      const file = `${name}-${width}${isDark ? '-dark' : ''}.png`;
      writeFileSync(join(SCREENSHOTS, file), await page.screenshot(width < 600));
    }
  }
  await page.resize(1280, 900);
}

/** Texts of the rows in sight, from the top: name, what is beside it, state. */
export const ROWS_IN_SIGHT = `[...document.querySelectorAll('.row:not([hidden])')]
  .sort((a, b) => Number(a.dataset.index) - Number(b.dataset.index))
  .map((row) => row.querySelector('b').textContent)`;
