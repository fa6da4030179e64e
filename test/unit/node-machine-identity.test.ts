import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { identityOf } from '../../src/node/system/machine-identity.js';
import { decodeIdentity, encodeIdentity } from '../../src/protocol/identity.js';

const root = mkdtempSync(join(tmpdir(), 'identity-'));
after(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, `${text}\n`);
}

const files = { root, deviceOf: (path: string) => (path === '/dev/sda1' ? '8:1' : null) };
const options = { output: '/dev/sda1', interfaceName: 'e0', label: 'desk 4', version: '1.2.3' };

test('a machine tells its maker, its serial, its disk and its link', () => {
  write('sys/class/dmi/id/sys_vendor', 'Dell Inc.');
  write('sys/class/dmi/id/product_name', 'OptiPlex 7090');
  write('sys/class/dmi/id/product_serial', 'ABC1234');
  write('sys/class/net/e0/address', '52:54:00:12:34:56');
  write('sys/class/net/e0/speed', '1000');
  write('sys/class/net/e0/duplex', 'full');
  write('sys/block/sda/dev', '8:0');
  write('sys/block/sda/size', '1000');
  write('sys/block/sda/device/model', 'Samsung SSD 870');
  write('sys/block/sda/device/serial', 'S5Y1');
  write('sys/block/sda/sda1/partition', '1');
  mkdirSync(join(root, 'sys/dev/block'), { recursive: true });
  symlinkSync(join(root, 'sys/block/sda/sda1'), join(root, 'sys/dev/block/8:1'));
  const identity = identityOf(options, files);
  assert.deepEqual(identity, {
    mac: '52:54:00:12:34:56',
    product: 'Dell Inc. OptiPlex 7090',
    serial: 'ABC1234',
    diskModel: 'Samsung SSD 870',
    diskSerial: 'S5Y1',
    diskBytes: 512_000,
    version: '1.2.3',
    linkBitsPerSecond: 1e9,
    isFullDuplex: true,
    label: 'desk 4',
  });
  const bytes = encodeIdentity(identity);
  assert.deepEqual(decodeIdentity(bytes, 0, bytes.length), identity);
});

test('what makers forgot to fill in, and what is not known, is left out', () => {
  write('sys/class/dmi/id/sys_vendor', 'To be filled by O.E.M.');
  write('sys/class/dmi/id/product_name', 'System Product Name');
  write('sys/class/dmi/id/product_serial', 'Default string');
  write('sys/class/net/e0/address', '00:00:00:00:00:00');
  write('sys/class/net/e0/speed', '-1');
  write('sys/class/net/e0/duplex', 'unknown');
  const nothing = { output: '/nowhere/at/all', label: undefined, version: undefined };
  assert.deepEqual(identityOf({ ...options, ...nothing }, files), {});
});
