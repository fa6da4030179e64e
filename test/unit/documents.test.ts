/**
 * What the documents say of options, exit statuses, events and codes is what the code has; their
 * links and commands lead somewhere.
 */
import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import { parseClientCommandLine } from '../../src/cli/client-options.js';
import { parseServerCommandLine } from '../../src/cli/server-options.js';
import { ExitStatus } from '../../src/failure.js';
import { documentPaths, isInCheckout, readCheckout, sourcePaths } from './checkout.js';

const MAX_README_LINES = 200;

const readme = readCheckout('README.md');
const manual = readCheckout('docs/MANUAL.md');
const json = readCheckout('docs/JSON.md');

/** A document from one heading to the next of the same level or a higher one. */
function section(document: string, heading: string): string {
  const level = /^#+/.exec(heading)![0].length;
  const lines = document.split('\n');
  const start = lines.indexOf(heading);
  assert(start >= 0, `there is no '${heading}'`);
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => /^#+ /.test(line) && line.search(/[^#]/) <= level);
  return (end < 0 ? rest : rest.slice(0, end)).join('\n');
}

function helpOf(parse: typeof parseServerCommandLine | typeof parseClientCommandLine): string {
  const parsed = parse(['--help']);
  assert(!parsed.run);
  return parsed.text;
}

for (const [name, parse] of [
  ['multiserver', parseServerCommandLine],
  ['multiclient', parseClientCommandLine],
] as const) {
  test(`the help of ${name} fits a terminal of 80 columns`, () => {
    const wide = helpOf(parse)
      .split('\n')
      .filter((line) => line.length > 80);
    assert.deepEqual(wide, []);
  });

  test(`MANUAL.md has every option of ${name}, and no other`, () => {
    const help = helpOf(parse);
    const inHelp = [...help.matchAll(/^ {2}(-[\w-]+(?:, --[\w-]+)?(?: [A-Z]+)?)(?= {2}|$)/gm)];
    const inManual = [...section(manual, `### ${name}`).matchAll(/^\| `(-[^`]+)`/gm)];
    const flags = (matches: RegExpMatchArray[]) => matches.map(([, flag]) => flag).sort();
    assert(inHelp.length > 10);
    assert.deepEqual(flags(inManual), flags(inHelp));
  });

  test(`MANUAL.md has every exit status of ${name}`, () => {
    const column = name === 'multiserver' ? 1 : 2;
    const inManual = section(manual, '## Exit statuses')
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .map((cell) => cell.trim())
          .slice(1),
      )
      .filter((cells) => /^\d+$/.test(cells[0] ?? '') && cells[column] !== '')
      .map((cells) => Number(cells[0]));
    const inHelp = [...helpOf(parse).matchAll(/^ {2} *(\d+) {2}/gm)].map(([, status]) =>
      Number(status),
    );
    assert.deepEqual(inManual, inHelp);
  });
}

test('the table of codes has every kind of failure', () => {
  for (const kind of Object.keys(ExitStatus)) {
    if (kind !== 'ok') assert(section(json, '## Codes').includes(`\`${kind}\``), kind);
  }
});

test('the table of codes has every code', () => {
  const codes = section(json, '## Codes');
  for (const path of sourcePaths('src')) {
    for (const [, code] of readCheckout(path).matchAll(/Failure\(\s*'\w+',\s*'([A-Z_]+)'/g)) {
      assert(codes.includes(`\`${code}\``), `${code} of ${path}`);
    }
  }
});

for (const [name, path] of [
  ['multiserver', 'src/server/events.ts'],
  ['multiclient', 'src/client/events.ts'],
] as const) {
  test(`JSON.md has every event of ${name} and every field`, () => {
    const source = readCheckout(path).replace(/\/\*[\s\S]*?\*\//g, '');
    const text = `${section(json, '## Both programs')}\n${section(json, `## ${name}`)}`;
    const events = [...source.matchAll(/\btype: '([\w-]+)'/g)].map(([, event]) => event!);
    const fields = [...source.matchAll(/(\w+)\??: /g)].map(([, field]) => field!);
    assert(events.length > 5);
    for (const word of new Set([...events, ...fields])) {
      if (word !== 'type') assert(text.includes(`\`${word}\``), word);
    }
  });
}

test('README is short', () => {
  const lines = readme.trimEnd().split('\n').length;
  assert(lines <= MAX_README_LINES, `${lines} lines; what is longer belongs into docs/MANUAL.md`);
});

const PARSERS = { multiserver: parseServerCommandLine, multiclient: parseClientCommandLine };

/**
 * Commands of both programs in the blocks of shell, without what the shell itself makes of them.
 */
function commandsIn(document: string): string[] {
  const blocks = [...document.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  return blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => line.replace(/^(?:sudo|npx) /, '').replace(/ +(?:#|[<>|&]).*$/, ''))
    .filter((line) => /^(?:multiserver|multiclient)(?: |$)/.test(line));
}

for (const [path, document] of [
  ['README.md', readme],
  ['docs/MANUAL.md', manual],
] as const) {
  test(`the programs take every command of ${path}`, () => {
    const commands = commandsIn(document);
    assert(commands.length > 3);
    for (const command of commands) {
      const [name, ...words] = command.split(/ +/);
      const parse = PARSERS[name as keyof typeof PARSERS];
      assert.doesNotThrow(() => parse(words), command);
    }
  });

  test(`${path} speaks of no option that there is not`, () => {
    for (const [, name, rest] of document.matchAll(/`(multiserver|multiclient) ([^`\n]*)`/g)) {
      const help = helpOf(PARSERS[name as keyof typeof PARSERS]);
      for (const [, option] of rest!.matchAll(/(?:^| )(--?[a-zA-Z][\w-]*)/g)) {
        assert(new RegExp(`(?:^ {2}|, )${option}(?=[ ,]|$)`, 'm').test(help), `${name} ${option}`);
      }
    }
  });
}

/** Where links may point in a document: its headings, as the sites that show it name them. */
function anchorsOf(document: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of withoutCode(document).matchAll(/^#+ +(.*)$/gm)) {
    const words = heading!.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '');
    const anchor = words.trim().replaceAll(' ', '-');
    let unique = anchor;
    for (let i = 1; anchors.has(unique); i++) unique = `${anchor}-${i}`;
    anchors.add(unique);
  }
  return anchors;
}

function withoutCode(document: string): string {
  return document.replace(/^```.*?^```$/gms, '');
}

for (const path of documentPaths()) {
  test(`the links of ${path} lead somewhere`, () => {
    const text = withoutCode(readCheckout(path)).replace(/`[^`\n]*`/g, '');
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const [file, anchor] = link!.split('#');
      const target = file === '' ? path : posix.join(posix.dirname(path), file!);
      assert(isInCheckout(target), `${link}: there is no ${target}`);
      if (anchor === undefined) continue;
      assert(anchorsOf(readCheckout(target)).has(anchor), `${link}: there is no such heading`);
    }
  });
}

test('the example of a systemd unit leaves it at failures that starting again does not mend', () => {
  const unit = readCheckout('docs/examples/multiserver@.service');
  const [, statuses] = /^RestartPreventExitStatus=(.*)$/m.exec(unit)!;
  const { usage, source, afterwards, incomplete, installation } = ExitStatus;
  const lasting = [usage, source, afterwards, incomplete, installation];
  assert.deepEqual(statuses!.split(' ').map(Number), lasting);
});

const examples = ['multiserver@.service', 'multiclient.service', 'ansible.yml'];
for (const path of examples.map((name) => `docs/examples/${name}`)) {
  test(`${path} uses only options that there are`, () => {
    const example = readCheckout(path);
    const name = path.includes('client') ? 'multiclient' : 'multiserver';
    const both = `${helpOf(PARSERS.multiserver)}${helpOf(PARSERS.multiclient)}`;
    const help = path.endsWith('.yml') ? both : helpOf(PARSERS[name]);
    const own = example.replaceAll(/--(unit|collect|property)\b.*/g, '').replaceAll(/^#.*/gm, '');
    const options = [...own.matchAll(/(?<=\s)--?[a-z][\w-]*/g)].map(([option]) => option);
    assert(options.length > 1);
    for (const option of options) {
      assert(new RegExp(`(?:^ {2}|, )${option}(?=[ ,]|$)`, 'm').test(help), option);
    }
  });
}
