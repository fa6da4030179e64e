import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCheckout, sourcePaths } from './checkout.js';

/**
 * What each room may import, besides itself. `failure` and `sizes` are single
 * files between the rooms.
 */
const ROOMS: Record<string, readonly string[]> = {
  failure: [],
  sizes: [],
  protocol: [],
  image: [],
  trust: ['protocol', 'image'],
  codec: ['protocol', 'image', 'trust'],
  server: ['protocol', 'image', 'trust', 'failure'],
  client: ['protocol', 'image', 'trust', 'failure'],
  doctor: ['protocol', 'failure', 'sizes'],
  node: ['protocol', 'image', 'trust', 'codec', 'server', 'client', 'doctor', 'failure', 'sizes'],
  ui: ['client/events', 'server/events', 'server/trouble', 'failure', 'sizes'],
  page: ['node/web/api', 'ui/units'],
  cli: ['node', 'ui', 'doctor', 'trust/statement', 'client/events', 'server/events', 'failure'],
  library: ['node', 'client/events', 'server/events', 'failure'],
  bin: ['cli'],
};

/** Rooms that only compute: whoever calls them brings bytes, time and chance. */
const PURE_ROOMS = [
  'failure',
  'sizes',
  'protocol',
  'image',
  'codec',
  'trust',
  'server',
  'client',
  'doctor',
];

/** Rooms that may use Node's modules and packages. */
const ROOMS_WITH_PACKAGES = ['node', 'cli', 'page'];

interface Import {
  from: string;
  to: string;
  /** Gone when compiled. */
  isType: boolean;
}

const withoutComments = (source: string): string =>
  source.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '$1');

const withoutTexts = (source: string): string =>
  source.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, "''");

const sources = new Map(
  sourcePaths('src', 'bin').map((path) => [path, withoutComments(readCheckout(path))]),
);

/** Where a relative path leads, seen from a file. */
function resolve(from: string, target: string): string {
  const parts = from.split('/').slice(0, -1);
  for (const part of target.replace(/\.js$/, '.ts').split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function importsOf(path: string, source: string): Import[] {
  const statements =
    /\b(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]*?\bfrom\s*)?'([^']+)'|\bimport\(\s*'?([^')]*)'?\s*\)/g;
  return [...source.matchAll(statements)].map(([, type, fixed, dynamic]) => {
    const target = fixed ?? dynamic!;
    const to = target.startsWith('.') ? resolve(path, target) : target;
    return { from: path, to, isType: type !== undefined };
  });
}

const imports = [...sources].flatMap(([path, source]) => importsOf(path, source));

/** `server` for `src/server/rate.ts`, `failure` for `src/failure.ts`, `bin` for `bin/x.ts`. */
function roomOf(path: string): string {
  const [top, next] = path.split('/');
  return top === 'src' ? next!.replace(/\.ts$/, '') : top!;
}

const isOwn = (target: string) => /^(src|bin)\//.test(target);

test('the sources are there, and their imports are understood', () => {
  assert(sources.size > 30);
  assert(imports.length > 100);
  for (const { from, to } of imports) {
    if (isOwn(to)) assert(sources.has(to), `${from} imports ${to}, which is not there`);
  }
  const words = [...sources.values()].join('\n').match(/^(import|export) .*'[^']*';?$/gm) ?? [];
  assert(imports.length >= words.length, 'some import statement was not understood');
});

test('every room is known: a new one needs a rule of its own', () => {
  const rooms = new Set([...sources.keys()].map(roomOf));
  assert.deepEqual([...rooms].sort(), Object.keys(ROOMS).sort());
});

for (const [room, allowed] of Object.entries(ROOMS)) {
  const list = allowed.length === 0 ? 'nothing' : allowed.join(', ');
  test(`${room} imports ${list} of the other rooms`, () => {
    for (const { from, to } of imports) {
      if (roomOf(from) !== room || !isOwn(to) || roomOf(to) === room) continue;
      const file = to.replace(/^src\//, '').replace(/\.ts$/, '');
      const isAllowed = allowed.includes(roomOf(to)) || allowed.includes(file);
      assert(isAllowed, `${from} imports ${to}`);
    }
  });
}

test("only IO and the command line use Node's modules and packages, and trust its ciphers", () => {
  for (const { from, to } of imports) {
    if (isOwn(to) || ROOMS_WITH_PACKAGES.includes(roomOf(from))) continue;
    const isCipher = roomOf(from) === 'trust' && to === 'node:crypto';
    assert(isCipher, `${from} imports ${to}`);
  }
});

test('the command line leaves files and sockets to the room of IO', () => {
  const forbidden = /^node:(fs|dgram|worker_threads|crypto)/;
  for (const { from, to } of imports) {
    if (roomOf(from) === 'cli') assert(!forbidden.test(to), `${from} imports ${to}`);
  }
});

test('the room of trust brings no chance of its own', () => {
  for (const [path, source] of sources) {
    if (roomOf(path) === 'trust') assert(!/\brandom\w*|\bgenerate\w*/.test(source), path);
  }
});

/** What only the room of IO may use. Fields and methods of such a name are something else. */
const FORBIDDEN =
  /(?<![.#\w$])(Math\s*\.\s*random|(Date|performance|crypto|setTimeout|setInterval|setImmediate|queueMicrotask|process|console|globalThis|fetch|require|Promise|await|async)\b)/;

test('the rooms that only compute have no clock, no chance, no timers and no process', () => {
  for (const [path, source] of sources) {
    if (!PURE_ROOMS.includes(roomOf(path))) continue;
    for (const line of withoutTexts(source).split('\n')) {
      assert(!FORBIDDEN.test(line), `${path}: ${line.trim()}`);
    }
  }
});

test('no file imports itself in a circle, nor by types alone', () => {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) {
    if (isOwn(to)) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert(!trail.includes(path), `circle: ${[...trail, path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of sources.keys()) visit(path, []);
});

test('the rules would notice', () => {
  const source = `
    import { a } from './a.js'; // import './no.js'
    import type {
      B,
    } from '../image/b.js';
    export * from '../node/c.js';
    import 'node:fs';
    /* import './no.js' */
    const d = await import('./d.js');`;
  const found = importsOf('src/client/x.ts', withoutComments(source));
  assert.deepEqual(
    found.map(({ to, isType }) => `${to}${isType ? ' (type)' : ''}`),
    ['src/client/a.ts', 'src/image/b.ts (type)', 'src/node/c.ts', 'node:fs', 'src/client/d.ts'],
  );
  for (const line of ['x = Date.now()', 'Math.random()', 'setTimeout(f, 1)', 'async () => 1']) {
    assert(FORBIDDEN.test(line), line);
  }
  for (const line of ['this.#fetch(1)', 'order.process', 'updated', "'Date'"]) {
    assert(!FORBIDDEN.test(withoutTexts(line)), line);
  }
});
