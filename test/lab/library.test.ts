/** The package as another program uses it: packed, unpacked, imported, run. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { CHECKOUT } from '../unit/checkout.js';
import { Scratch } from './scratch.js';

const scratch = new Scratch();
const folder = scratch.makeFolder('user');

function run(command: string, args: string[], cwd = folder) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, output: stdout + stderr };
}

/** Installs the packed package, with the packages of this checkout as what it depends on. */
before(() => {
  const packages = scratch.makeFolder('user/node_modules');
  const packed = run(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder],
    CHECKOUT,
  );
  assert.equal(packed.status, 0, packed.output);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  const own = join(packages, 'multiserver');
  mkdirSync(own);
  assert.equal(run('tar', ['-xzf', tarball, '-C', own, '--strip-components=1']).status, 0);
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(own, 'package.json'), 'utf8'),
  );
  const names = Object.keys({ ...dependencies, ...optionalDependencies });
  for (const name of [...names, '@types/node', 'undici-types']) {
    const target = join(packages, name);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(join(CHECKOUT, 'node_modules', name), target);
  }
});

const example = () => /```js\n([\s\S]*?)```/.exec(read('docs/LIBRARY.md'))![1]!;

const read = (path: string) => readFileSync(join(CHECKOUT, path), 'utf8');

test('the example of the document serves, receives and tells', () => {
  writeFileSync(join(folder, 'clone.mjs'), example());
  const image = scratch.randomFile('disk.img', 3 << 20);
  const copy = scratch.path('copy.img');
  const { status, output } = run(process.execPath, ['clone.mjs', image, copy]);
  assert.equal(status, 0, output);
  assert.match(output, /holds a copy\n/);
  assert.match(output, /copy\.img holds image [0-9a-f]{64}; \d+ bytes were sent\n/);
  scratch.assertCopy(copy, image);
});

test('the example ends with the exit status of a failure', () => {
  const { status, output } = run(process.execPath, ['clone.mjs', 'not-there.img', 'x.img']);
  assert.equal(status, 4, output);
  assert.match(output, /^CANNOT_READ: /m);
});

/** Serves bytes that no file holds, and receives them. */
const SOURCE_OF_ITS_OWN = `
import { receive, serve } from 'multiserver';
const sizeBytes = 5 * 1048576 + 77;
const byteAt = (at) => (at < 2097152 || at >= 4194304 ? (at * 7 + (at >> 12)) & 255 : 0);
const asked = [];
const file = {
  name: 'made.img',
  sizeBytes,
  async read(bytes, offsetBytes) {
    asked.push(offsetBytes);
    const count = Math.min(bytes.length, 300_000);
    for (let i = 0; i < count; i++) bytes[i] = byteAt(offsetBytes + i);
    return count;
  },
  extents: {
    nextData: (at) => (at < 2097152 || at >= 4194304 ? at : 4194304),
    nextHole: (at) => (at < 2097152 ? 2097152 : sizeBytes),
  },
  changed(tell) {
    if (process.argv[3] === 'changes') setTimeout(() => tell('was thought better of'), 100);
  },
};
const exitAfter = process.argv[3] === 'changes' ? 2 : 1;
const server = serve({ file, interface: 'lo', exitAfter });
const client = receive({ output: process.argv[2], interface: 'lo' });
const [served, received] = await Promise.allSettled([server.done, client.done]);
console.log(JSON.stringify([served.reason?.code, received.reason?.code]));
console.log(asked.filter((at) => at >= 2097152 && at < 4194304).length);
`;

/** The same, for comparing. */
function madeBytes(): Buffer {
  const bytes = Buffer.alloc(5 * 1048576 + 77);
  for (let at = 0; at < bytes.length; at++) {
    if (at < 2097152 || at >= 4194304) bytes[at] = (at * 7 + (at >> 12)) & 255;
  }
  return bytes;
}

test('an image that no file holds is served, and its holes are not read', () => {
  writeFileSync(join(folder, 'source.mjs'), SOURCE_OF_ITS_OWN);
  const copy = scratch.path('made.img');
  const { status, output } = run(process.execPath, ['source.mjs', copy]);
  assert.equal(status, 0, output);
  assert.equal(output, '[null,null]\n0\n');
  assert(readFileSync(copy).equals(madeBytes()));
});

test('an image that its owner says has changed ends the run', () => {
  const { output } = run(process.execPath, ['source.mjs', scratch.path('other.img'), 'changes']);
  assert.match(output, /^\["SOURCE_CHANGED",(null|"SOURCE_CHANGED")\]/);
});

test('importing it changes nothing in the process', () => {
  const script = `
    const before = [Error.stackTraceLimit, process.eventNames().length];
    await import('multiserver');
    const after = [Error.stackTraceLimit, process.eventNames().length];
    console.log(JSON.stringify([before, after, process.getActiveResourcesInfo()]));`;
  writeFileSync(join(folder, 'import.mjs'), script);
  const { output } = run(process.execPath, ['import.mjs']);
  const [first, second, resources] = JSON.parse(output);
  assert.deepEqual(second, first);
  assert.doesNotMatch(resources.join(' '), /UDP|TCP|Pipe|Timeout|Immediate|Worker|MessagePort/);
});

test('its types fit the example, and refuse what is no option', () => {
  const options = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...options, types: ['node'] }, files: ['clone.mts'] }),
  );
  const tsc = join(CHECKOUT, 'node_modules/.bin/tsc');
  const source = example().replace('const [image, copy] =', 'const [image = "", copy = ""] =');
  writeFileSync(join(folder, 'clone.mts'), source);
  const checked = run(tsc, ['-p', '.']);
  assert.equal(checked.status, 0, checked.output);
  writeFileSync(join(folder, 'clone.mts'), source.replace('exitAfter: 1', 'exitAfter: "one"'));
  assert.match(run(tsc, ['-p', '.']).output, /'string' is not assignable to type 'number'/);
});
