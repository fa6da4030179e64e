/**
 * Makes one file of each program, of the library and of the worker, in dist/bin. They are
 * CommonJS: Node starts those a tenth faster than modules of the same content. The library's
 * types lie beside it.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';

const FOLDER = 'dist/bin';

/** What every start needs: taken in, a start is 10 ms shorter than with files that Node has to find. */
const TAKEN_IN = ['commander'];
const { version, dependencies, optionalDependencies } = JSON.parse(
  readFileSync('package.json', 'utf8'),
);
const external = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
  (name) => !TAKEN_IN.includes(name),
);

/** Licenses of the packages whose files esbuild names in `code`. */
function licensesOf(code) {
  const folders = TAKEN_IN.map((name) => `node_modules/${name}/`);
  return folders
    .filter((folder) => code.includes(`// ${folder}`))
    .map((folder) => `/*\n${folder}\n${readFileSync(`${folder}LICENSE`, 'utf8')}*/\n`)
    .join('');
}

/** Copies a file of types, and those that it names, from dist/src. */
function copyTypes(path, seen = new Set()) {
  if (seen.has(path)) return;
  seen.add(path);
  const target = join(FOLDER, 'types', path);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join('dist/src', path), target);
  for (const [, name] of readFileSync(target, 'utf8').matchAll(/from '(\.[^']*)\.js'/g)) {
    copyTypes(join(dirname(path), `${name}.d.ts`), seen);
  }
}

/** The fleet page as one file: its script and style are put into its markup. */
async function fleetPage() {
  const { outputFiles } = await build({
    entryPoints: { page: 'src/page/main.ts', style: 'src/page/style.css' },
    outdir: FOLDER,
    write: false,
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    legalComments: 'none',
    logLevel: 'warning',
  });
  const textOf = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text.trim();
  const license = readFileSync('node_modules/uplot/LICENSE', 'utf8').trim();
  const parts = {
    '<style></style>': `<style>${textOf('style.css')}</style>`,
    '<script></script>': `<script>/* with uPlot:\n${license}\n*/\n${textOf('page.js')}</script>`,
  };
  let page = readFileSync('src/page/page.html', 'utf8');
  for (const [place, text] of Object.entries(parts)) {
    if (/<\/(?:script|style)/i.test(text.slice(1, -9))) throw new Error(`${place} ends too soon`);
    page = page.replace(place, () => text);
  }
  return page;
}

const { outputFiles } = await build({
  entryPoints: {
    'multiserver-program': 'bin/multiserver.ts',
    'multiclient-program': 'bin/multiclient.ts',
    library: 'src/library/index.ts',
    'chunk-worker': 'src/node/workers/chunk-worker.ts',
  },
  outdir: FOLDER,
  write: false,
  bundle: true,
  external,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  define: { 'import.meta.url': 'bundleUrl', FLEET_PAGE: JSON.stringify(await fleetPage()) },
  banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
});
mkdirSync(FOLDER, { recursive: true });
for (const { path, text } of outputFiles) {
  writeFileSync(`${FOLDER}/${basename(path)}`, text + licensesOf(text));
}
writeFileSync(`${FOLDER}/package.json`, '{ "type": "commonjs" }\n');
copyTypes('library/index.d.ts');

/** Speaks the JavaScript of ten years ago: a program that is too new for Node cannot say so. */
const starterOf = (name) => `#!/usr/bin/env node
'use strict';
if (parseInt(process.versions.node, 10) < 20) {
  console.error('${name}: this is Node ' + process.versions.node + '; it needs Node 20 or later');
  process.exit(20);
}
try {
  require('./${name}-program.js');
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND') throw error;
  console.error('${name}: a part of the program is missing: it needs the folder that it was ' +
    'installed in; install it with npm, or use the portable archive');
  process.exit(20);
}
`;

const SHARE = 'dist/share';

/** Writes what a system keeps beside a program: its manual page, and completion for shells. */
async function writeShare(name, command, epilogue) {
  const { manualPage, bashCompletion, zshCompletion, fishCompletion } = await import(
    './dist/src/cli/manual.js'
  );
  const files = {
    [`man/man1/${name}.1`]: manualPage(command, epilogue, version),
    [`bash-completion/completions/${name}`]: bashCompletion(command),
    [`zsh/site-functions/_${name}`]: zshCompletion(command),
    [`fish/vendor_completions.d/${name}.fish`]: fishCompletion(command),
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(SHARE, path)), { recursive: true });
    writeFileSync(join(SHARE, path), text);
  }
}

for (const name of ['multiserver', 'multiclient']) {
  writeFileSync(`${FOLDER}/${name}.js`, starterOf(name));
  chmodSync(`${FOLDER}/${name}.js`, 0o755);
}
const { serverCommand, SERVER_EPILOGUE } = await import('./dist/src/cli/server-flags.js');
const { clientCommand, CLIENT_EPILOGUE } = await import('./dist/src/cli/client-flags.js');
await writeShare('multiserver', serverCommand(), SERVER_EPILOGUE);
await writeShare('multiclient', clientCommand(), CLIENT_EPILOGUE);
