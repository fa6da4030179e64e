import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseClientCommandLine } from '../../src/cli/client-options.js';
import type { Parsed } from '../../src/cli/command.js';
import { parseServerCommandLine } from '../../src/cli/server-options.js';
import { BadValue, readTimeToCome } from '../../src/cli/values.js';
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
    keyFile: undefined,
    output: undefined,
    serverHost: undefined,
    serverPort: 7500,
    timeoutMs: 1000,
    fromPort: undefined,
    image: undefined,
    expect: undefined,
    trust: [],
    newerThan: undefined,
    sparse: true,
    giveUpMs: undefined,
    force: false,
    resume: false,
    check: false,
    verify: false,
    discard: false,
    wipeFree: false,
    dryRun: false,
    countdownSeconds: 0,
    follow: false,
    fit: false,
    thenCommand: undefined,
    label: undefined,
    version: VERSION,
  });
});

test('every option of a client arrives, by its short and its long name', () => {
  const short =
    '-g 239.1.2.3 -p 17000 -t 250 -f 40000 -s lab:7600 -o /dev/sda -i eth0 -n ' +
    '--ttl 3 --mtu 9000 --no-offload --key lab.key --give-up 2.5 --image lab.img --force ' +
    '--expect 0123456789ABCDEF --trust lab.pub --trust hall.pub --newer-than 2026-11-29 ' +
    '--resume --verify --wipe-free --dry-run -y --follow --fit --then reboot';
  const long =
    '--group 239.1.2.3 --port=17000 --timeout 250 --from-port 40000 --server lab:7600 ' +
    '--output /dev/sda --interface eth0 --no-sparse --ttl=3 --mtu=9000 --no-offload --key ' +
    'lab.key ' +
    '--give-up=2.5 --image=lab.img --force --resume --verify --dry-run --yes ' +
    '--wipe-free --follow --fit --then=reboot ' +
    '--expect=0123456789abcdef --trust=lab.pub --trust=hall.pub ' +
    '--newer-than=2026-11-29T00:00:00Z';
  const expected = {
    group: '239.1.2.3',
    port: 17000,
    interface: 'eth0',
    ttl: 3,
    mtu: 9000,
    offload: false,
    keyFile: 'lab.key',
    output: '/dev/sda',
    serverHost: 'lab',
    serverPort: 7600,
    timeoutMs: 250,
    fromPort: 40000,
    image: 'lab.img',
    expect: '0123456789abcdef',
    trust: ['lab.pub', 'hall.pub'],
    newerThan: '2026-11-29T00:00:00Z',
    sparse: false,
    giveUpMs: 2500,
    force: true,
    resume: true,
    check: false,
    verify: true,
    discard: false,
    wipeFree: true,
    dryRun: true,
    countdownSeconds: 0,
    follow: true,
    fit: true,
    thenCommand: 'reboot',
    label: undefined,
    version: VERSION,
  };
  assert.deepEqual(optionsOf(parseClientCommandLine, short), expected);
  assert.deepEqual(optionsOf(parseClientCommandLine, long), expected);
});

test('a check stands alone: what writes contradicts it', () => {
  assert.equal(optionsOf(parseClientCommandLine, '-o x --check').check, true);
  for (const option of [
    '--resume',
    '--verify',
    '--force',
    '--follow',
    '--wipe-free',
    '--fit',
    '--then x',
  ]) {
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
    keyFile: undefined,
    file: 'disk.img',
    asIs: false,
    force: false,
    usedOnly: false,
    serverPort: 7500,
    delayMs: 0,
    rateBitsPerSecond: undefined,
    exitAfter: undefined,
    goneAfterMs: 300_000,
    waitFor: undefined,
    waitMs: undefined,
    startAtMs: undefined,
    hold: false,
    startsOnEnter: true,
    expectClients: undefined,
    report: undefined,
    version: VERSION,
    web: undefined,
    slowClients: 'leave',
    compression: 'auto',
    cache: true,
    prepareOnly: false,
    netboot: null,
    newKey: undefined,
  });
  refuses(parseServerCommandLine, '', /no image to serve; name one with -f FILENAME/);
});

test('every option of a server arrives, by its short and its long name', () => {
  const rest =
    ' --ttl 3 --mtu 1500 --no-offload --key lab.key --rate 900M --exit-after 30 ' +
    '--slow-clients wait --no-cache' +
    ' --compress 7 --as-is --used-only --netboot live/out --netboot-dhcp 10.0.0.100,10.0.1.99 ' +
    '--unattended' +
    ' --netboot-words multiclient.verify';
  const expected = {
    group: 'ff02::7',
    port: 17000,
    interface: 'eth0',
    ttl: 3,
    mtu: 1500,
    offload: false,
    keyFile: 'lab.key',
    file: 'disk.img',
    asIs: true,
    force: false,
    usedOnly: true,
    serverPort: 7600,
    delayMs: 5,
    rateBitsPerSecond: 900e6,
    exitAfter: 30,
    goneAfterMs: 300_000,
    waitFor: undefined,
    waitMs: undefined,
    startAtMs: undefined,
    hold: false,
    startsOnEnter: true,
    expectClients: undefined,
    report: undefined,
    version: VERSION,
    web: undefined,
    slowClients: 'wait',
    compression: 7,
    cache: false,
    prepareOnly: false,
    netboot: {
      folder: 'live/out',
      dhcpRange: ['10.0.0.100', '10.0.1.99'],
      isUnattended: true,
      extraWords: 'multiclient.verify',
    },
    newKey: undefined,
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

test('what is about starting from the network needs a folder and an interface', () => {
  refuses(parseServerCommandLine, '-f x --netboot live/out', /name its interface with -i/);
  for (const option of [
    '--unattended',
    '--netboot-words a.b',
    '--netboot-dhcp 10.0.0.1,10.0.0.2',
  ]) {
    refuses(parseServerCommandLine, `-f x -i lo ${option}`, /is about --netboot/);
  }
  for (const range of ['10.0.0.1', '10.0.0.2,10.0.0.1', '10.0.0.1,a', '10.0.0.1,10.0.0.2,1h']) {
    const line = `-f x -i lo --netboot y --netboot-dhcp ${range}`;
    refuses(parseServerCommandLine, line, /is no range of addresses/);
  }
  for (const word of ['a;b', '$(a)', 'a|b', '{a}', 'a="b']) {
    const line = `-f x -i lo --netboot y --netboot-words ${word}`;
    refuses(parseServerCommandLine, line, /cannot be put on a kernel's command line/);
  }
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
  refuses(parseClientCommandLine, '--out X', /^there is no option '--out'; .* mean --output\?$/);
  refuses(parseClientCommandLine, '--hel', /; did you mean --help\?$/);
  refuses(parseClientCommandLine, '--no', /; did you mean one of --no-offload, --no-sparse\?$/);
  refuses(parseClientCommandLine, '--check --dry-run', /^--check compares and .* give one of/);
  refuses(parseClientCommandLine, '-x', /^there is no option '-x'$/);
  refuses(parseServerCommandLine, '-o', /^'-o' is an option of multiclient, not of multiserver$/);
  refuses(parseServerCommandLine, '-oX', /^'-o' is an option of multiclient/);
  refuses(parseServerCommandLine, '--output=X', /^'--output' is an option of multiclient/);
  refuses(parseServerCommandLine, '--expect', /^'--expect' is an option of multiclient/);
  refuses(parseClientCommandLine, '--exit-after', /^'--exit-after' is an option of multiserver, /);
  refuses(parseClientCommandLine, '--dry-run=yes', /^--dry-run takes no value; give it alone, /);
  refuses(parseServerCommandLine, '--no-cache=1', /^--no-cache takes no value/);
  refuses(parseServerCommandLine, '--output-x', /^there is no option '--output-x'/);
  refuses(parseClientCommandLine, 'disk.img', /'disk\.img' belongs to no option;.*-o NAME/);
  refuses(parseServerCommandLine, 'disk.img', /'disk\.img' belongs to no option;.*-f FILENAME/);
  refuses(parseServerCommandLine, '-f x --prepare --no-cache', /--prepare.*--no-cache/);
  for (const about of ['--exit-after 3', '--wait-for 3', '--hold', '--report r.csv', '--web 80']) {
    const [option] = about.split(' ');
    refuses(parseServerCommandLine, `-f x --prepare ${about}`, new RegExp(`--prepare.*${option}`));
  }
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
    const isServer = name === 'multiserver';
    const [start, boot] = isServer ? [['Start'], ['Network boot']] : [[], []];
    const body = [...start, 'Behaviour', ...boot];
    const expected = ['Options', 'Network', ...body, 'Output', 'Debugging'];
    const all = ['Usage', ...expected, 'Examples', 'Exit status', 'Environment'];
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

test('a time to come is the next of its kind, and none that is over', () => {
  const from = new Date(2030, 0, 31, 18, 30, 0);
  const at = (text: string) => new Date(readTimeToCome(text, from));
  assert.deepEqual(at('19:05'), new Date(2030, 0, 31, 19, 5));
  assert.deepEqual(at('18:30'), new Date(2030, 1, 1, 18, 30));
  assert.deepEqual(at('7:00:09'), new Date(2030, 1, 1, 7, 0, 9));
  assert.deepEqual(at('2030-02-01T06:00:00'), new Date(2030, 1, 1, 6, 0));
  assert.deepEqual(at('2032-02-29 06:00'), new Date(2032, 1, 29, 6, 0));
  for (const text of [
    '25:00',
    '18:60',
    '',
    'noon',
    '1830',
    '2030-01-31T18:00',
    '2030-13-01T00:00',
    '2030-02-30T10:00',
    '2031-02-29 10:00',
    '2030-04-31T10:00Z',
  ]) {
    assert.throws(() => readTimeToCome(text, from), BadValue, text);
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

test('an option with a value is given once', () => {
  const twice = (parse: typeof parseServerCommandLine, line: string, message: RegExp) =>
    assert.throws(() => parse(line.split(' ')), { kind: 'usage', message });
  twice(parseServerCommandLine, '-f a -f b', /^-f, --file is given twice/);
  twice(parseServerCommandLine, '-f a -p 1000 --port 1001', /^-p, --port is given twice/);
});

test('the environment stands in for what the command line leaves out', () => {
  process.env.MULTISERVER_GROUP = '239.1.2.3';
  process.env.MULTISERVER_SERVER_PORT = '7600';
  try {
    const server = parseServerCommandLine(['-f', 'a']);
    assert(server.run);
    assert.deepEqual([server.options.group, server.options.serverPort], ['239.1.2.3', 7600]);
    const client = parseClientCommandLine(['-g', '239.4.5.6']);
    assert(client.run);
    assert.deepEqual([client.options.group, client.options.serverPort], ['239.4.5.6', 7600]);
    process.env.MULTISERVER_GROUP = '10.0.0.1';
    assert.throws(() => parseServerCommandLine(['-f', 'a']), {
      message: /^-g, --group \(MULTISERVER_GROUP in the environment\): .*not a multicast/,
    });
  } finally {
    delete process.env.MULTISERVER_GROUP;
    delete process.env.MULTISERVER_SERVER_PORT;
  }
});

test('a server of another address family than the group is refused', () => {
  assert.throws(() => parseClientCommandLine(['-s', 'fd00::1']), {
    kind: 'usage',
    message: /fd00::1 and group 225\.0\.20\.10 are of two address families/,
  });
  assert(parseClientCommandLine(['-s', 'fd00::1', '-g', 'ff02::7']).run);
  assert(parseClientCommandLine(['-s', 'lab', '-g', 'ff02::7']).run);
});

test('whose image may be taken: ids, keys and times that can be none are refused', () => {
  refuses(parseClientCommandLine, '--expect 813e6404', /--expect: '813e6404' is no map id/);
  refuses(parseClientCommandLine, '--trust a.pub --newer-than noon', /--newer-than: 'noon' is no/);
  refuses(parseClientCommandLine, '--newer-than 2026-11-29', /say with --trust/);
});

test('a new key is made alone', () => {
  assert.equal(optionsOf(parseServerCommandLine, '--new-key lab.key').newKey, 'lab.key');
  refuses(parseServerCommandLine, '-f x --new-key lab.key', /--new-key makes a key and serves/);
});
