import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseClientCommandLine } from '../../src/cli/client-options.js';
import type { Parsed } from '../../src/cli/command.js';
import { parseServerCommandLine } from '../../src/cli/server-options.js';
import { VERSION } from '../../src/cli/version.js';
import { Failure } from '../../src/failure.js';

const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');

function optionsOf<Options>(parse: (argv: string[]) => Parsed<Options>, line: string): Options {
  const parsed = parse(words(line));
  assert.ok(parsed.run, 'the command line asks for a run');
  return parsed.options;
}

function textOf<Options>(parse: (argv: string[]) => Parsed<Options>, line: string): string {
  const parsed = parse(words(line));
  assert.ok(!parsed.run, 'the command line asks for a text');
  return parsed.text;
}

function refuses(parse: (argv: string[]) => unknown, line: string, says: RegExp): void {
  assert.throws(
    () => parse(words(line)),
    (error: unknown) =>
      error instanceof Failure && error.exitStatus === 2 && says.test(error.message),
    `'${line}' should be refused, saying ${says}`,
  );
}

test('a client without options does what the original did', () => {
  assert.deepEqual(optionsOf(parseClientCommandLine, ''), {
    group: '225.0.20.10',
    port: 16000,
    interface: undefined,
    ttl: 1,
    mtu: 'auto',
    offload: true,
    output: undefined,
    serverHost: undefined,
    serverPort: 7500,
    timeoutMs: 1000,
    fromPort: undefined,
    image: undefined,
    sparse: true,
    giveUpMs: undefined,
    force: false,
    resume: false,
    check: false,
    verify: false,
    discard: false,
    dryRun: false,
    follow: false,
  });
});

test('every option of a client arrives, by its short and its long name', () => {
  const short =
    '-g 239.1.2.3 -p 17000 -t 250 -f 40000 -s lab:7600 -o /dev/sda -i eth0 -n ' +
    '--ttl 3 --mtu 9000 --no-offload --give-up 2.5 --image lab.img --force ' +
    '--resume --verify --dry-run --follow';
  const long =
    '--group 239.1.2.3 --port=17000 --timeout 250 --from-port 40000 --server lab:7600 ' +
    '--output /dev/sda --interface eth0 --no-sparse --ttl=3 --mtu=9000 --no-offload ' +
    '--give-up=2.5 --image=lab.img --force --resume --verify --dry-run --follow';
  const expected = {
    group: '239.1.2.3',
    port: 17000,
    interface: 'eth0',
    ttl: 3,
    mtu: 9000,
    offload: false,
    output: '/dev/sda',
    serverHost: 'lab',
    serverPort: 7600,
    timeoutMs: 250,
    fromPort: 40000,
    image: 'lab.img',
    sparse: false,
    giveUpMs: 2500,
    force: true,
    resume: true,
    check: false,
    verify: true,
    discard: false,
    dryRun: true,
    follow: true,
  };
  assert.deepEqual(optionsOf(parseClientCommandLine, short), expected);
  assert.deepEqual(optionsOf(parseClientCommandLine, long), expected);
});

test('a check stands alone: what writes contradicts it', () => {
  assert.equal(optionsOf(parseClientCommandLine, '-o x --check').check, true);
  for (const option of ['--resume', '--verify', '--force', '--follow']) {
    refuses(parseClientCommandLine, `-o x --check ${option}`, /--check writes nothing/);
  }
});

test('a server needs a file, and no more', () => {
  assert.deepEqual(optionsOf(parseServerCommandLine, '-f disk.img'), {
    group: '225.0.20.10',
    port: 16000,
    interface: undefined,
    ttl: 1,
    mtu: 'auto',
    offload: true,
    file: 'disk.img',
    asIs: false,
    force: false,
    serverPort: 7500,
    delayMs: 0,
    rateBitsPerSecond: undefined,
    exitAfter: undefined,
    slowClients: 'leave',
    compression: 'auto',
    cache: true,
    prepareOnly: false,
  });
  refuses(parseServerCommandLine, '', /no image to serve; name one with -f FILENAME/);
});

test('every option of a server arrives, by its short and its long name', () => {
  const rest =
    ' --ttl 3 --mtu 1500 --no-offload --rate 900M --exit-after 30 --slow-clients wait --no-cache' +
    ' --compress 7 --as-is';
  const expected = {
    group: 'ff02::7',
    port: 17000,
    interface: 'eth0',
    ttl: 3,
    mtu: 1500,
    offload: false,
    file: 'disk.img',
    asIs: true,
    force: false,
    serverPort: 7600,
    delayMs: 5,
    rateBitsPerSecond: 900e6,
    exitAfter: 30,
    slowClients: 'wait',
    compression: 7,
    cache: false,
    prepareOnly: false,
  };
  const short = `-f disk.img -g ff02::7 -p 17000 -s 7600 -d 5 -i eth0${rest}`;
  const long =
    '--file disk.img --group ff02::7 --port 17000 --server-port 7600 --delay 5 ' +
    `--interface eth0${rest}`;
  assert.deepEqual(optionsOf(parseServerCommandLine, short), expected);
  assert.deepEqual(optionsOf(parseServerCommandLine, long), expected);
  assert.equal(optionsOf(parseServerCommandLine, '-f x --prepare').prepareOnly, true);
  assert.equal(optionsOf(parseServerCommandLine, '-f x --compress off').compression, 'off');
});

test('the way to show events is not part of the options', () => {
  const output = (line: string) => {
    const parsed = parseClientCommandLine(words(line));
    return parsed.run ? parsed.output : undefined;
  };
  assert.equal(output(''), 'text');
  assert.equal(output('-q'), 'quiet');
  assert.equal(output('--quiet'), 'quiet');
  assert.equal(output('--json'), 'json');
  refuses(parseClientCommandLine, '--json -q', /--quiet and --json.*give one of the two/);
});

test('a usage error names the option as it can be written, and says what is right', () => {
  refuses(parseClientCommandLine, '-f disk.img', /source port here; .*multiserver -f disk\.img/);
  refuses(parseClientCommandLine, '-p 70000', /^-p, --port: '70000' is not a port; give/);
  refuses(parseClientCommandLine, '-p', /^-p, --port needs a value: PORT$/);
  refuses(
    parseClientCommandLine,
    '--forse',
    /^there is no option '--forse'; did you mean --force\?$/,
  );
  refuses(parseClientCommandLine, '-x', /^there is no option '-x'$/);
  refuses(parseClientCommandLine, 'disk.img', /'disk\.img' belongs to no option;.*-o NAME/);
  refuses(parseServerCommandLine, 'disk.img', /'disk\.img' belongs to no option;.*-f FILENAME/);
  refuses(parseServerCommandLine, '-f x --prepare --no-cache', /--prepare.*--no-cache/);
  refuses(
    parseServerCommandLine,
    '-f x --slow-clients drop',
    /^--slow-clients: 'drop'.*leave or wait/,
  );
  refuses(parseServerCommandLine, '-f x -d -1', /^-d, --delay: '-1' is not a time/);
  refuses(parseServerCommandLine, '-f x --exit-after 0', /^--exit-after: '0'/);
});

test('--help groups the options, and shows examples, exit statuses and DEBUG', () => {
  for (const [parse, name] of [
    [parseClientCommandLine, 'multiclient'],
    [parseServerCommandLine, 'multiserver'],
  ] as const) {
    const text = textOf<unknown>(parse, '--help');
    const headings = text.match(/^(Usage:|[A-Z][a-z ]+:$)/gm);
    const expected = ['Options', 'Network', 'Behaviour', 'Output', 'Debugging', 'Examples'];
    const all = ['Usage', ...expected, 'Exit status'];
    assert.deepEqual(
      headings,
      all.map((heading) => `${heading}:`),
    );
    assert.match(text, new RegExp(`DEBUG=${name}:\\*`));
    assert.match(text, /^ +130 {2}interrupted/m);
    assert.match(text, /225\.0\.20\.10/);
    assert.equal(textOf<unknown>(parse, '-h'), text);
  }
});

test('--help works beside options that would not be enough to run', () => {
  assert.match(textOf(parseServerCommandLine, '-p 17000 --help'), /^Usage: multiserver/);
});

test('--version is that of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  assert.equal(VERSION, version);
  assert.equal(textOf(parseClientCommandLine, '-V'), `${version}\n`);
  assert.equal(textOf(parseServerCommandLine, '--version'), `${version}\n`);
});
