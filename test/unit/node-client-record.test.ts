import assert from 'node:assert/strict';
import fs, {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { Failure } from '../../src/failure.js';
import { ClientRecord } from '../../src/node/fleet/client-record.js';
import type { FleetMember } from '../../src/server/events.js';

const folder = mkdtempSync(join(tmpdir(), 'record-'));
after(() => rmSync(folder, { recursive: true }));

const image = { name: 'lab.img', sizeBytes: 1000, chunkCount: 10, mapId: 'ab12' };
const time = new Date('2030-01-31T18:30:00Z');

function member(changes: Partial<FleetMember> = {}): FleetMember {
  return {
    id: '0123456789abcdef',
    machine: '00000000000000aa',
    host: 'pc-07',
    label: '',
    address: '10.0.0.7',
    missingChunks: 0,
    provenChunks: 10,
    state: 'done',
    lossRatio: 0,
    followed: true,
    receivedPacketsPerSecond: 0,
    identity: { mac: '52:54:00:12:34:56', serial: 'ABC', label: 'desk "7", left' },
    holdsCopy: true,
    isReleased: false,
    elapsedMs: 12_345,
    totalLossRatio: 0.0125,
    silentMs: 0,
    trouble: 0,
    reason: '',
    ...changes,
  };
}

const told: string[] = [];
const open = (name: string) =>
  new ClientRecord(join(folder, name), { ...image }, (text) => told.push(text));
const linesOf = (name: string) => readFileSync(join(folder, name), 'utf8').split('\n');

test('a row of CSV is as spreadsheets read it', () => {
  const record = open('a.csv');
  record.add(member(), 'copied', time);
  record.add(member({ id: '1'.repeat(16), host: '=cmd()', missingChunks: 5 }), 'failed', time);
  record.close();
  const [header, first, second, end] = linesOf('a.csv');
  assert.match(header!, /^time,client,verdict,machine,host,/);
  assert.equal(
    first,
    '2030-01-31T18:30:00.000Z,0123456789abcdef,copied,00000000000000aa,pc-07,' +
      '"desk ""7"", left",10.0.0.7,52:54:00:12:34:56,,ABC,,,,lab.img,ab12,1000,12.345,0.0125,,',
  );
  assert.match(second!, /,failed,00000000000000aa,'=cmd\(\),.*,500,12\.345,/);
  assert.equal(end, '');
});

test('nothing that a machine says is a formula, wherever a spreadsheet has cells begin', () => {
  const record = open('formulas.csv');
  const reasons = ['a;=cmd()', 'a; @cmd()', '\uff1dcmd()', '  +1', '-1', 'no;-1', 'b; --force it'];
  for (const [number, reason] of reasons.entries()) {
    record.add(member({ id: `${number}`.repeat(16), reason }), 'failed', time);
  }
  record.close();
  const last = linesOf('formulas.csv').slice(1, -1);
  assert.deepEqual(
    last.map((line) => line.slice(line.lastIndexOf(',') + 1)),
    ["a;'=cmd()", "a;' @cmd()", "'\uff1dcmd()", "'  +1", "'-1", "no;'-1", 'b; --force it'],
  );
});

test('what a client that left had is told to the byte', () => {
  const record = open('bytes.csv');
  for (let missingChunks = 1; missingChunks <= 10; missingChunks++) {
    record.add(member({ id: missingChunks.toString(16).repeat(16), missingChunks }), 'left', time);
  }
  record.close();
  const column = linesOf('bytes.csv')[0]!.split(',').indexOf('bytes');
  assert.deepEqual(
    linesOf('bytes.csv')
      .slice(1, -1)
      // The label has a comma in it.
      .map((line) => Number(line.split(',')[column + 1])),
    [900, 800, 700, 600, 500, 400, 300, 200, 100, 0],
  );
});

test('a row is a line, whatever an image is called', () => {
  const path = join(folder, 'lines.csv');
  const named = { ...image, name: 'lab\r\n2030\n3.img\r' };
  const openNamed = () => new ClientRecord(path, { ...named }, (text) => told.push(text));
  const first = openNamed();
  first.add(member(), 'copied', time);
  first.close();
  const whole = readFileSync(path, 'utf8');
  assert.match(whole, /^time,.*\n2030-01-31T.*,lab 2030 3\.img ,ab12,.*\n$/);
  appendFileSync(path, whole.slice(whole.indexOf('\n') + 1, whole.indexOf('ab12')));
  openNamed().close();
  assert.equal(readFileSync(path, 'utf8'), whole);
});

test('a file of something else is refused, and stays as it is', () => {
  const files = {
    'one-line.csv': 'kept for years',
    'torn.csv': 'name,room\npc-07,lab',
    'one-line.jsonl': '{"kept": "for years"}',
    'torn.jsonl': '{"client": 1}\n{"kept": 2}',
    'text.jsonl': 'no JSON\nat all',
  };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text);
    assert.throws(
      () => open(name),
      (error) => error instanceof Failure && error.code === 'CANNOT_WRITE_REPORT',
      name,
    );
    assert.equal(readFileSync(join(folder, name), 'utf8'), text);
  }
});

test('a link that leads nowhere is named as what is wrong', () => {
  symlinkSync('/gone/away.csv', join(folder, 'link.csv'));
  assert.throws(() => open('link.csv'), /it is a link to \/gone\/away\.csv, which does not exist/);
});

for (const begun of ['time,cli', '']) {
  test(`a record that was torn off in its header begins anew: '${begun}'`, () => {
    writeFileSync(join(folder, 'header.csv'), begun);
    open('header.csv').close();
    assert.match(linesOf('header.csv')[0]!, /^time,client,.*,reason$/);
  });
}

for (const form of ['csv', 'jsonl']) {
  test(`a record that is gone on with has each client once, and no torn row: ${form}`, () => {
    const name = `b.${form}`;
    const first = open(name);
    first.add(member(), 'copied', time);
    first.close();
    const whole = readFileSync(join(folder, name));
    appendFileSync(join(folder, name), whole.subarray(0, 30));
    const second = open(name);
    assert.deepEqual(readFileSync(join(folder, name)), whole);
    second.add(member(), 'copied', time);
    assert.deepEqual(readFileSync(join(folder, name)), whole);
    second.add(member({ id: '2'.repeat(16) }), 'left', time);
    second.close();
    assert.equal(linesOf(name).length, linesOf(name).indexOf('') + 1);
    assert.match(linesOf(name).at(-2)!, /left/);
  });
}

for (const name of ['locked.csv', 'locked.jsonl']) {
  test(`a record belongs to one server at a time: ${name}`, () => {
    const path = join(folder, name);
    const first = open(name);
    first.add(member(), 'copied', time);
    // As it is while a row is being written.
    appendFileSync(path, '{"time":');
    const before = readFileSync(path);
    assert.throws(
      () => open(name),
      (error) => error instanceof Failure && error.code === 'REPORT_IN_USE',
    );
    assert.deepEqual(readFileSync(path), before);
    first.close();
    open(name).close();
  });
}

test("a record that is refused is nobody's afterwards", () => {
  writeFileSync(join(folder, 'mended.jsonl'), 'no JSON\n');
  assert.throws(() => open('mended.jsonl'), /lines of something else/);
  writeFileSync(join(folder, 'mended.jsonl'), '');
  open('mended.jsonl').close();
});

test('a line of JSON has all that is known', () => {
  const record = open('c.jsonl');
  record.name('cd34');
  record.add(member({ host: 'a\u2028b' }), 'compared', time);
  record.close();
  const row = JSON.parse(linesOf('c.jsonl')[0]!);
  assert.deepEqual([row.mapId, row.verdict, row.serial], ['cd34', 'compared', 'ABC']);
  assert.deepEqual([row.bytes, row.seconds, row.product], [1000, 12.345, null]);
});

test('what is no record is left alone', () => {
  writeFileSync(join(folder, 'd.csv'), 'name,grade\n');
  writeFileSync(join(folder, 'd.jsonl'), 'name\n');
  for (const name of ['d.csv', 'd.jsonl', 'no/such/folder/e.csv']) {
    assert.throws(
      () => open(name),
      (error) => {
        return error instanceof Failure && error.code === 'CANNOT_WRITE_REPORT';
      },
    );
  }
});

/** A disk that is full whenever `isFull` says so. */
function fillableDisk(): { isFull: boolean } {
  const disk = { isFull: true };
  const write = fs.writeSync;
  mock.method(fs, 'writeSync', (fd: number, bytes: Buffer) => {
    if (disk.isFull) throw Object.assign(new Error('ENOSPC: full, write'), { code: 'ENOSPC' });
    return write(fd, bytes);
  });
  syncBuiltinESMExports();
  return disk;
}

function mendDisk(): void {
  mock.restoreAll();
  syncBuiltinESMExports();
}

for (const name of ['full.csv', 'full.jsonl']) {
  test(`a disk without room for a row is refused at the start: ${name}`, () => {
    fillableDisk();
    try {
      assert.throws(() => open(name), /cannot write .*: no space is left there/);
    } finally {
      mendDisk();
    }
  });
}

test('a record that begins leaves nothing behind of what it tried', () => {
  open('begun.csv').close();
  open('begun.jsonl').close();
  assert.deepEqual([linesOf('begun.csv').length, linesOf('begun.jsonl').length], [2, 1]);
});

test('a row that cannot be written is kept, and written in its turn', () => {
  const record = open('kept.jsonl');
  const disk = fillableDisk();
  try {
    told.splice(0);
    record.add(member({ id: '1'.repeat(16), host: 'pc-1' }), 'copied', time);
    record.add(member({ id: '1'.repeat(16), host: 'pc-1' }), 'copied', time);
    record.add(member({ id: '2'.repeat(16), label: 'desk 2' }), 'failed', time);
    assert.equal(told.length, 2);
    assert.match(told[0]!, /^the row of pc-1 \(copied\) could not be written to .*; it is kept/);
    assert.match(
      record.lacking()!,
      /kept\.jsonl lacks 2 rows of pc-1 \(copied\), desk 2 \(failed\): no/,
    );
    assert.deepEqual(linesOf('kept.jsonl'), ['']);
    disk.isFull = false;
    record.add(member({ id: '3'.repeat(16) }), 'copied', time);
    assert.match(told[2]!, /^all rows that were kept are in /);
    assert.equal(record.lacking(), null);
    record.close();
  } finally {
    mendDisk();
  }
  const rows = linesOf('kept.jsonl').slice(0, -1);
  assert.deepEqual(
    rows.map((line) => JSON.parse(line).client[0]),
    ['1', '2', '3'],
  );
});
