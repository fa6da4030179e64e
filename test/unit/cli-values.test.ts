import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  BadValue,
  fileName,
  oneOf,
  readCompression,
  readGroup,
  readLabel,
  readMtu,
  readPort,
  readRate,
  readSecondsAsMs,
  readServerAddress,
  someText,
  wholeNumber,
} from '../../src/cli/values.js';
import { decodeIdentity, encodeIdentity } from '../../src/protocol/identity.js';

const refuses = (read: (text: string) => unknown, texts: string[], says: RegExp): void => {
  for (const text of texts) {
    assert.throws(
      () => read(text),
      (error: unknown) => error instanceof BadValue && says.test(error.message),
      `should refuse '${text}' and say ${says}`,
    );
  }
};

test('a port is a whole number from 1 to 65535 and nothing else', () => {
  assert.equal(readPort('1'), 1);
  assert.equal(readPort('65535'), 65535);
  const wrong = ['0', '65536', '-1', '80.5', '1e3', '0x50', ' 80', '80 ', '', 'http', '９'];
  refuses(readPort, wrong, /is not a port; give a whole number from 1 to 65535/);
});

test('a whole number keeps its limits', () => {
  const read = wholeNumber('a TTL', 1, 255);
  assert.equal(read('255'), 255);
  refuses(read, ['0', '256', '99999999999999999999'], /is not a TTL.*from 1 to 255/);
});

test('a label is as long as what travels', () => {
  for (const label of ['desk 14', 'x'.repeat(40), '\u00e9'.repeat(20)]) {
    assert.equal(readLabel(label), label);
    const { label: told } = decodeIdentity(
      encodeIdentity({ label }),
      0,
      2 + Buffer.byteLength(label),
    )!;
    assert.equal(told, label);
  }
  refuses(readLabel, ['x'.repeat(41)], /has 41 bytes \(UTF-8\); give a name of at most 40 bytes/);
  refuses(readLabel, [`${'\u00e9'.repeat(20)}x`], /has 41 bytes/);
  refuses(readLabel, [''], /is empty; give a name/);
});

test('a group is a multicast address of either family', () => {
  for (const group of ['224.0.0.0', '225.0.20.10', '239.255.255.255', 'ff02::1', 'FF3E::8000:1']) {
    assert.equal(readGroup(group), group);
  }
  const unicast = ['223.255.255.255', '240.0.0.1', '10.0.0.1', '::1', 'fe80::ff02', 'ff::1'];
  refuses(readGroup, unicast, /is not a multicast address; give one from 224\.0\.0\.0/);
  refuses(readGroup, ['', '225', '225.0.20', '225.0.20.256', 'lab'], /is not an IP address/);
  refuses(readGroup, ['ff02::1%eth0'], /give 'ff02::1' alone.*-i/);
});

test('a server is given as port, host, or both', () => {
  const both = (host: string | undefined, port: number | undefined) => ({ host, port });
  assert.deepEqual(readServerAddress('7600'), both(undefined, 7600));
  assert.deepEqual(readServerAddress('10.0.0.1'), both('10.0.0.1', undefined));
  assert.deepEqual(readServerAddress('10.0.0.1:7600'), both('10.0.0.1', 7600));
  assert.deepEqual(readServerAddress('lab-7.example.org'), both('lab-7.example.org', undefined));
  assert.deepEqual(readServerAddress('lab:1'), both('lab', 1));
  assert.deepEqual(readServerAddress('fe80::1%eth0'), both('fe80::1%eth0', undefined));
  assert.deepEqual(readServerAddress('[::1]'), both('::1', undefined));
  assert.deepEqual(readServerAddress('[::1]:7600'), both('::1', 7600));
});

test('a server that cannot be is refused before anything is sent', () => {
  const hosts = ['10.0.0.300', '10.0.0', 'a b', 'a..b', '[lab]', '[10.0.0.1]:1', '/'];
  refuses(readServerAddress, hosts, /is neither a host name nor an IP address; give PORT, HOST/);
  refuses(
    readServerAddress,
    ['', ':7500', '::1:::7', '[::1', '[::1]7'],
    /is not an address; give PORT, HOST/,
  );
  refuses(readServerAddress, ['0', '65536', 'lab:x', '[::1]:0'], /is not a port/);
  refuses(readServerAddress, ['lab:'], /ends where a port should come; give 'lab'/);
  refuses(readServerAddress, ['fd00::1:7500'], /write \[fd00::1\]:7500 .*, or \[fd00::1:7500\]/);
  refuses(readServerAddress, ['225.0.20.10', '[ff02::1]:7500'], /is a multicast group/);
});

test('whatever is given as a server, the answer is an address or a usage error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.domain(), fc.webAuthority()), (text) => {
      try {
        const { host, port } = readServerAddress(text);
        assert.ok(host !== undefined || port !== undefined);
        assert.ok(port === undefined || (port >= 1 && port <= 65535));
        assert.notEqual(host, '');
      } catch (error) {
        assert.ok(error instanceof BadValue);
      }
    }),
  );
});

test('a rate is bits per second with a decimal prefix', () => {
  assert.equal(readRate('900M'), 900e6);
  assert.equal(readRate('2.5G'), 2.5e9);
  assert.equal(readRate('500k'), 500e3);
  assert.equal(readRate('500K'), 500e3);
  assert.equal(readRate('8000000'), 8e6);
  refuses(readRate, ['', 'M', '9e6', '-1M', '1 M', '900Mbit', '.5G', '5.G', '1MM'], /900M, 2\.5G/);
  refuses(readRate, ['400m', '1.5m'], /write a large M for megabits: [\d.]+M$/);
  refuses(readRate, ['0', '900', '0.5k', '1001G'], /out of range/);
});

test('an MTU is auto or a packet size that exists', () => {
  assert.equal(readMtu('auto'), 'auto');
  assert.equal(readMtu('576'), 576);
  assert.equal(readMtu('9000'), 9000);
  refuses(readMtu, ['575', '65536', '1.5k', 'AUTO', ''], /give auto, or bytes from 576 to 65535/);
});

test('seconds may have a fraction, and come out in milliseconds', () => {
  assert.equal(readSecondsAsMs('30'), 30_000);
  assert.equal(readSecondsAsMs('0.25'), 250);
  refuses(readSecondsAsMs, ['0', '-1', '1m', 'x', '', '1.', '99999999'], /give seconds/);
});

test('words, texts and names', () => {
  const read = oneOf(['leave', 'wait']);
  assert.equal(read('wait'), 'wait');
  refuses(read, ['Wait', ''], /give leave or wait/);
  refuses(someText('its name'), [''], /empty; give its name/);
  assert.equal(fileName('a file')('a-'), 'a-');
  refuses(fileName('a file'), ['disk\ufffd.img'], /not UTF-8/);
  refuses(fileName('a file'), ['-'], /'-' does not stand for a pipe.*give a file/);
});

test('compression is auto, off, or a level from 1 to 19', () => {
  assert.equal(readCompression('auto'), 'auto');
  assert.equal(readCompression('off'), 'off');
  assert.equal(readCompression('1'), 1);
  assert.equal(readCompression('19'), 19);
  refuses(readCompression, ['0', '20', '-1', '3.5', 'on', 'AUTO', ''], /from 1 to 19/);
});
