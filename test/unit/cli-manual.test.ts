import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'acorn';
import { CLIENT_EPILOGUE, clientCommand } from '../../src/cli/client-flags.js';
import { bashCompletion, fishCompletion, manualPage, zshCompletion } from '../../src/cli/manual.js';
import { SERVER_EPILOGUE, serverCommand } from '../../src/cli/server-flags.js';
import { readCheckout } from './checkout.js';

const programs = [
  { command: clientCommand(), epilogue: CLIENT_EPILOGUE },
  { command: serverCommand(), epilogue: SERVER_EPILOGUE },
];

for (const { command, epilogue } of programs) {
  const name = command.name();
  const options = command.createHelp().visibleOptions(command);

  test(`the manual page and the completions of ${name} have each option`, () => {
    assert(options.length > 15);
    const page = manualPage(command, epilogue, '1.2.3').replace(/\\-/g, '-');
    const [bash, zsh, fish] = [bashCompletion, zshCompletion, fishCompletion].map((make) =>
      make(command),
    );
    for (const { long, description } of options) {
      assert(page.includes(`\\fB${long}\\fR`), `the page lacks ${long}`);
      assert(page.includes(description.split('`')[0]!), `the page does not explain ${long}`);
      assert.match(bash!, new RegExp(`[ ']${long}[ ']`));
      assert(zsh!.includes(`)${long}[`), `zsh lacks ${long}`);
      assert(fish!.includes(` -l ${long!.slice(2)} `), `fish lacks ${long}`);
    }
  });

  test(`the manual page of ${name} has the exit statuses of its help`, () => {
    const page = manualPage(command, epilogue, '1.2.3');
    assert.match(page, /^\.SH EXIT STATUS$/m);
    assert.match(page, /^ {4}0 {2}/m);
    assert.match(page, /^ {2}143 {2}/m);
  });

  test(`what starts ${name} can be read by any Node`, () => {
    const starter = readCheckout(`dist/bin/${name}.js`);
    parse(starter, { ecmaVersion: 5, allowHashBang: true });
    assert.match(starter, /needs Node 20 or later/);
  });
}
