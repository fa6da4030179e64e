/** What the documents say of options, exit statuses, events and codes is what the code has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClientCommandLine } from '../../src/cli/client-options.js';
import { parseServerCommandLine } from '../../src/cli/server-options.js';
import { ExitStatus } from '../../src/failure.js';
import { readCheckout, sourcePaths } from './checkout.js';

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

test('links between the documents lead somewhere', () => {
  for (const path of [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'docs/ARCHITECTURE.md',
    'docs/JSON.md',
    'docs/MANUAL.md',
    'docs/PERFORMANCE.md',
  ]) {
    const folder = path.includes('/') ? 'docs/' : '';
    for (const [, target] of readCheckout(path).matchAll(/\]\(([^)#]+\.md)(?:#[^)]*)?\)/g)) {
      readCheckout(`${folder}${target}`);
    }
  }
});
