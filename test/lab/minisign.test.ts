/** Debian's minisign and ours, each about what the other takes and refuses. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { isSignedBy, parsePublicKey, parseSignature } from '../../src/trust/minisign.js';
import { formatStatement } from '../../src/trust/statement.js';
import { Signer } from '../minisign.js';
import { Scratch } from './scratch.js';
import { runTool } from './tools.js';

const STATEMENT = formatStatement({
  name: 'lab.img',
  sizeBytes: 8_589_934_592,
  chunkSizeBytes: 1_048_576,
  mapId: '0f'.repeat(32),
  time: '2026-11-29T12:34:56Z',
});

for (const isPrehashed of [true, false]) {
  const kind = isPrehashed ? 'prehashed' : 'legacy';

  test(`what minisign signs is taken (${kind})`, (context) => {
    const scratch = new Scratch();
    context.after(() => scratch.close());
    const [file, secret, open] = ['lab.img.image', 'lab.key', 'lab.pub'].map((name) =>
      scratch.path(name),
    ) as [string, string, string];
    writeFileSync(file, STATEMENT);
    runTool('minisign', ['-G', '-W', '-p', open, '-s', secret]);
    const legacy = isPrehashed ? [] : ['-l'];
    runTool('minisign', ['-S', ...legacy, '-s', secret, '-m', file, '-t', 'from the lab']);
    const publicKey = parsePublicKey(readFileSync(open, 'utf8'))!;
    const signature = parseSignature(readFileSync(`${file}.minisig`))!;
    assert.equal(signature.isPrehashed, isPrehashed);
    assert.equal(signature.trustedComment.toString(), 'from the lab');
    assert(isSignedBy(publicKey, STATEMENT, signature));
    const other = Buffer.from(STATEMENT.toString().replace('lab.img', 'lab.imh'));
    assert(!isSignedBy(publicKey, other, signature));
  });

  test(`what is signed here is taken by minisign (${kind})`, (context) => {
    const scratch = new Scratch();
    context.after(() => scratch.close());
    const signer = new Signer(Buffer.alloc(32, 0x17), Buffer.from('lab keys'));
    const file = scratch.path('lab.img.image');
    writeFileSync(file, STATEMENT);
    const signature = signer.sign(STATEMENT, { isPrehashed, comment: 'from the tests' });
    writeFileSync(`${file}.minisig`, signature);
    const verify = ['-V', '-m', file, '-P', signer.publicKeyLine];
    assert.match(runTool('minisign', [...verify, '-Q']), /^from the tests$/m);
    writeFileSync(`${file}.minisig`, signature.replace('from the tests', 'from the test'));
    assert.throws(() => runTool('minisign', verify), /[Cc]omment signature verification failed/);
    writeFileSync(file, STATEMENT.toString().replace('lab.img', 'lab.imh'));
    writeFileSync(`${file}.minisig`, signature);
    assert.throws(() => runTool('minisign', verify), /[Ss]ignature verification failed/);
  });
}
