/** The parts of the command line that only a real process shows: pipes, signals, exit statuses. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const built = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

/** Runs `body` as the run of a program; it has `observe` and `signal`. */
function spawnRun(body: string, args: string[]) {
  const script = `
    import { main } from '${built('src/cli/program.js')}';
    import { realWorld } from '${built('src/cli/world.js')}';
    import { multiclient } from '${built('src/cli/multiclient.js')}';
    const run = async (options, observe, signal) => { ${body} };
    await main({ ...multiclient, run }, realWorld());
  `;
  // With -e there is no script's name among the arguments; 'fake' stands in for it.
  return spawn(process.execPath, ['--input-type=module', '-e', script, '--', 'fake', ...args]);
}

function spawnProgram(name: string, args: string[]) {
  return spawn(process.execPath, [new URL(built(`bin/${name}.js`)).pathname, ...args]);
}

async function outcome(child: ReturnType<typeof spawn>) {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data) => {
    stdout += data;
  });
  child.stderr?.on('data', (data) => {
    stderr += data;
  });
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

test('both programs answer --help and --version, and refuse a wrong command line', async () => {
  for (const name of ['multiclient', 'multiserver']) {
    const help = await outcome(spawnProgram(name, ['--help']));
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`^Usage: ${name} `));
    assert.equal(help.stderr, '');
    const wrong = await outcome(spawnProgram(name, ['--port', 'x']));
    assert.equal(wrong.code, 2);
    assert.equal(wrong.stdout, '');
    assert.match(wrong.stderr, new RegExp(`^${name}: -p, --port: 'x' is not a port`));
  }
});

test('a limit of open files that is too low is said at once', async () => {
  for (const [name, args] of [
    ['multiserver', '-f /dev/null'],
    ['multiclient', '-o /dev/null'],
  ]) {
    const path = new URL(built(`bin/${name}.js`)).pathname;
    const line = `ulimit -n 40 && exec '${process.execPath}' '${path}' -i lo ${args}`;
    const { code, stderr } = await outcome(spawn('sh', ['-c', line]));
    assert.equal(code, 7);
    assert.match(stderr, /allows 40 open files.*ulimit -n/);
  }
});

test('a reader that goes away does not end the run', async () => {
  const body = `
    observe({ type: 'notice', text: 'first' });
    await new Promise((resolve) => process.stdin.once('data', resolve));
    for (let count = 0; count < 100; count += 1) {
      observe({ type: 'notice', text: 'unread' });
      await new Promise((resolve) => setImmediate(resolve));
    }`;
  for (const [args, stream] of [
    [['--json'], 'stdout'],
    [[], 'stderr'],
  ] as const) {
    const child = spawnRun(body, [...args]);
    await once(child[stream], 'data');
    child[stream].destroy();
    child.stdin.write('go on\n');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, `${stream} was closed`);
  }
});

test('SIGINT and SIGTERM give the run time to end, and their exit status', async () => {
  const body = `
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
      observe({ type: 'notice', text: 'ready' });
      setTimeout(() => {}, 60_000);
    });
    observe({ type: 'notice', text: 'tidied up' });
    throw signal.reason;`;
  for (const [signal, status, code] of [
    ['SIGINT', 130, 'INTERRUPTED'],
    ['SIGTERM', 143, 'TERMINATED'],
  ] as const) {
    const child = spawnRun(body, ['--json']);
    const ended = outcome(child);
    await once(child.stdout, 'data');
    child.kill(signal);
    const { code: exitStatus, stdout } = await ended;
    assert.equal(exitStatus, status);
    assert.match(stdout, new RegExp(`tidied up.*\n.*"code":"${code}"`));
  }
});

test('a run that does not stop is stopped by a second signal', async () => {
  const body = `
    observe({ type: 'notice', text: 'ready' });
    signal.addEventListener('abort', () => observe({ type: 'notice', text: 'deaf' }));
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const child = spawnRun(body, ['--json']);
  const ended = outcome(child);
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
});

test('a thread or timer that lingers does not hold up the end', async () => {
  const child = spawnRun('setInterval(() => {}, 1000);', ['-q']);
  const { code, stdout, stderr } = await outcome(child);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' });
});

test('a file that an option names and that cannot be used is a sentence, not a code', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'named-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const image = join(folder, 'disk.img');
  const key = join(folder, 'lab.key');
  for (const path of [image, key]) writeFileSync(path, 'something');
  const none = join(folder, 'none');
  const serve = ['-f', image, '-i', 'lo'];
  const cases: [name: string, args: string[], text: RegExp][] = [
    ['multiserver', ['-f', none], /there is no such file in \S+named-/],
    ['multiserver', [...serve, '--key', none], /no such file in .*--new-key$/m],
    ['multiserver', [...serve, '--report', `${none}/x.csv`], /its folder \S+none does not exist/],
    ['multiserver', [...serve, '--report', `${image}/x.csv`], /a part of its path is no folder/],
    ['multiserver', [...serve, '--expect-clients', none], /^multiserver: --expect-clients: cannot/],
    ['multiserver', [...serve, '--expect-clients', folder], /it is a folder; name a file in it/],
    [
      'multiserver',
      ['--new-key', key],
      /exists already, and is not overwritten.*--key \S+lab\.key/,
    ],
    ['multiserver', ['--new-key', `${none}/lab.key`], /its folder \S+none does not exist/],
    ['multiclient', ['-o', none, '-i', 'lo', '--key', none], /copy the key of the other side/],
    ['multiclient', ['-o', none, '-i', 'lo', '--trust', none], /minisign\.pub.*begins with RW/],
  ];
  for (const [name, args, text] of cases) {
    const { stderr } = await outcome(spawnProgram(name, args));
    assert.match(stderr, text);
    assert.doesNotMatch(stderr, /E[A-Z]{4,}:|--help|internal error/);
  }
  assert.equal(readFileSync(key, 'utf8'), 'something');
});

test('--hold without a terminal, a page or a rule is refused, as nobody could ever start it', async () => {
  const held = spawnProgram('multiserver', ['-f', '/dev/null', '-i', 'lo', '--hold']);
  held.stdin.end();
  const { code, stderr } = await outcome(held);
  assert.equal(code, 2);
  assert.match(stderr, /no terminal to press it on.*--web PORT/);
});

test('a doctor that was sent to no interface names those that there are', async () => {
  for (const name of ['multiclient', 'multiserver']) {
    const { code, stdout } = await outcome(spawnProgram(name, ['--doctor', '-i', 'eth9x']));
    assert.equal(code, 17);
    assert.match(stdout, /there is no interface eth9x; there are: .*\blo\b/);
  }
});
