/** The fleet page: one file that asks for nothing from elsewhere, put in here by the bundler. */
import { createHash } from 'node:crypto';

declare const FLEET_PAGE: string | undefined;

const UNBUNDLED = '<!doctype html><title>multiserver</title><p>The page is made by npm run build.';

export const PAGE = typeof FLEET_PAGE === 'string' ? FLEET_PAGE : UNBUNDLED;

function hashes(element: 'script' | 'style'): string {
  const contents = PAGE.matchAll(new RegExp(`<${element}>([\\s\\S]*?)</${element}>`, 'g'));
  const digests = Array.from(contents, ([, text]) =>
    createHash('sha256').update(text!).digest('base64'),
  );
  return digests.length > 0 ? digests.map((digest) => `'sha256-${digest}'`).join(' ') : "'none'";
}

let policy: string | null = null;

/** Only the scripts and styles that are in the page, and only our own answers. */
export function contentPolicy(): string {
  policy ??= [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return policy;
}
