/**
 * House rules that a machine can hold: sizes of files and lines, exports that somebody uses, and
 * tools that the setup knows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packageOf } from '../lab/tools.js';
import { readCheckout, sourcePaths } from './checkout.js';

const MAX_COLUMNS = 100;
const MAX_LINES = 400;
/** What had better stay together: the phases of a client, and its one switch on a packet's type. */
const MAX_LINES_OF: Record<string, number> = { 'src/client/session.ts': 455 };
/** What is exported from here is for programs of others. */
const FRONT_DOOR = 'src/library/index.ts';

const sources = new Map(
  sourcePaths('src', 'bin', 'test', 'bench').map((path) => [path, readCheckout(path)]),
);

/** What is one word, such as a test vector, and the titles of tests cannot be broken. */
const isWhole = (line: string): boolean => /^\s*test\(|\S{50,}/.test(line);

test('no line is wider than the screen', () => {
  const wide = [...sources].flatMap(([path, source]) =>
    source
      .split('\n')
      .flatMap((line, index) =>
        line.length > MAX_COLUMNS && !isWhole(line)
          ? [`${path}:${index + 1} has ${line.length} columns`]
          : [],
      ),
  );
  assert.deepEqual(wide, []);
});

test('each source file is one subject', () => {
  const long = [...sources].flatMap(([path, source]) => {
    const lines = source.split('\n').length - 1;
    const isLong = path.startsWith('src/') && lines > (MAX_LINES_OF[path] ?? MAX_LINES);
    return isLong ? [`${path} has ${lines} lines`] : [];
  });
  assert.deepEqual(long, []);
});

/** Names that a file exports by their declaration. */
function exportsOf(source: string): string[] {
  const declarations =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;
  return [...source.matchAll(declarations)].map(([, name]) => name!);
}

/** Names that a file takes from others, by `import` or `export ... from`. */
function importsOf(source: string): string[] {
  const statements = /^(?:import|export)(?: type)? \{([^}]*)\} from /gm;
  return [...source.matchAll(statements)].flatMap(([, names]) =>
    names!
      .split(',')
      .map((name) =>
        name
          .trim()
          .replace(/^type /, '')
          .replace(/ as .*/, ''),
      )
      .filter((name) => name !== ''),
  );
}

test('what is exported is used elsewhere', () => {
  const taken = new Set([...sources.values()].flatMap(importsOf));
  const unused = [...sources].flatMap(([path, source]) =>
    path === FRONT_DOOR || !path.startsWith('src/')
      ? []
      : exportsOf(source)
          .filter((name) => !taken.has(name))
          .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(unused, []);
});

test('the rules would notice', () => {
  const source = 'export class A {}\nexport const b = 1;\nexport interface C {\n}';
  assert.deepEqual(exportsOf(source), ['A', 'b', 'C']);
  assert.deepEqual(importsOf("import { type A, b as c } from './a.js';"), ['A', 'b']);
});

test('what the tests start is installed for them', () => {
  const started = [...sources.values()].flatMap((source) =>
    [...source.matchAll(/\b(?:runTool|toolPath|requireLab)\(\s*'([^']+)'/g)].map(
      ([, tool]) => tool!,
    ),
  );
  assert(started.length > 100);
  const unknown = started.filter((tool) => packageOf(tool) === undefined);
  assert.deepEqual([...new Set(unknown)], []);
});
