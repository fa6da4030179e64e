/** What is known of a firewall, by programs of ours in the place of the system's. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isKnown } from '../../src/doctor/facts.js';
import { firewallFacts } from '../../src/node/doctor/firewall-facts.js';

/** @param programs what each prints */
function replace(t: TestContext, programs: Record<string, string>): void {
  const folder = mkdtempSync(join(tmpdir(), 'firewall-'));
  for (const [name, text] of Object.entries(programs)) {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\ncat <<'END'\n${text}\nEND\n`);
    chmodSync(path, 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = `${folder}${delimiter}${before}`;
  t.after(() => {
    process.env.PATH = before;
    rmSync(folder, { recursive: true });
  });
}

const nft = '{"nftables": []}';
const open = '-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT';

test('a firewall without rules is known', async (t) => {
  replace(t, { nft, 'iptables-legacy': open, 'ip6tables-legacy': open });
  assert.ok(isKnown(await firewallFacts()));
});

for (const tool of ['iptables-legacy', 'ip6tables-legacy']) {
  for (const rules of ['-P INPUT DROP', '-A INPUT -p udp -j DROP']) {
    test(`rules that nft does not list are no clean bill: ${tool}, ${rules}`, async (t) => {
      const both = { 'iptables-legacy': open, 'ip6tables-legacy': open };
      replace(t, { nft, ...both, [tool]: `${open}\n${rules}` });
      const facts = await firewallFacts();
      assert.ok(!isKnown(facts));
      assert.match(facts.why, new RegExp(`${tool} -S`));
    });
  }
}
