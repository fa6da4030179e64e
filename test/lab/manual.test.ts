/** What the system keeps beside the programs, read by the programs that it is for. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHECKOUT } from '../unit/checkout.js';
import { Scratch } from './scratch.js';
import { toolPath } from './tools.js';

const share = (path: string) => join(CHECKOUT, 'dist/share', path);

function run(command: string, args: string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

for (const name of ['multiserver', 'multiclient']) {
  test(`the manual page of ${name} has no warnings`, () => {
    const page = share(`man/man1/${name}.1`);
    const { status, stdout, stderr } = run(toolPath('groff'), ['-man', '-ww', '-Tutf8', page]);
    assert.deepEqual([status, stderr], [0, '']);
    // Bold is told by overstriking or by escapes, as the terminal has it.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    assert.match(stdout.replace(/\x1b\[[\d;]*m|.\x08/g, ''), /EXIT STATUS/);
  });

  /** What bash offers behind these words. */
  function bashOffers(...words: string[]): string[] {
    const script = `
      . ${share(`bash-completion/completions/${name}`)}
      COMP_WORDS=(${[name, ...words].map((word) => `'${word}'`).join(' ')})
      COMP_CWORD=${words.length}
      _${name}
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = run('bash', ['-c', script]);
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.split('\n').filter((word) => word !== '');
  }

  test(`bash completes options, interfaces and files of ${name}`, () => {
    assert.deepEqual(bashOffers('--inter'), ['--interface']);
    assert(bashOffers('-i', '').includes('lo'));
    assert.deepEqual(bashOffers('--ttl', ''), []);
    const file = name === 'multiserver' ? '-f' : '-o';
    assert.deepEqual(bashOffers(file, join(CHECKOUT, 'LICEN')), [join(CHECKOUT, 'LICENSE')]);
  });

  test(`zsh and fish take the completions of ${name}`, () => {
    const zsh = run(toolPath('zsh'), ['-n', share(`zsh/site-functions/_${name}`)]);
    assert.deepEqual([zsh.status, zsh.stderr], [0, '']);
    const file = share(`fish/vendor_completions.d/${name}.fish`);
    const fish = run(toolPath('fish'), [
      '--no-config',
      '-c',
      `source ${file}; complete -C '${name} --inter'`,
    ]);
    assert.deepEqual([fish.status, fish.stderr], [0, '']);
    assert.match(fish.stdout, /^--interface\t/m);
  });
}

test('a program that was copied without its folder says so', () => {
  const scratch = new Scratch();
  for (const name of ['multiserver', 'multiclient']) {
    const alone = scratch.path(`${name}.js`);
    copyFileSync(join(CHECKOUT, `dist/bin/${name}.js`), alone);
    const starter = run(process.execPath, [alone, '--version']);
    assert.equal(starter.status, 20);
    assert.match(starter.stderr, new RegExp(`^${name}: a part of the program is missing`));
    const program = scratch.path(`${name}-program.js`);
    copyFileSync(join(CHECKOUT, `dist/bin/${name}-program.js`), program);
    const image = scratch.randomFile(`${name}.img`, 4096);
    const args = name === 'multiserver' ? ['-f', image] : ['-o', scratch.path('copy.img')];
    const packages = run(process.execPath, [alone, '-i', 'lo', ...args]);
    assert.equal(packages.status, 20);
    assert.match(packages.stderr, /the package 'hash-wasm' is not here/);
  }
});
