/**
 * The rules of this machine's firewall, as `nft` lists them. It lists those of today's iptables,
 * too, but not those of the older one, which the kernel keeps apart.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Unknown } from '../../doctor/facts.js';
import { type Ruleset, readRuleset } from '../../doctor/ruleset.js';
import { environmentOfTools } from '../system/system-tools.js';

const run = promisify(execFile);
const TIMEOUT_MS = 2000;
const MAX_BYTES = 16 * 1024 * 1024;
const LEGACY_TOOLS = ['iptables-legacy', 'ip6tables-legacy'];
/** A rule, or what becomes of packets that no rule names, as `iptables -S` prints them. */
const HINDRANCE = /^(-A|-P \S+ DROP)/m;

async function say(tool: string, ...args: string[]): Promise<string> {
  const env = environmentOfTools();
  const limits = { timeout: TIMEOUT_MS, maxBuffer: MAX_BYTES, env };
  return (await run(tool, args, limits)).stdout;
}

/** @returns the first of the older tools that has rules; null when none has, or none is there */
async function legacyRules(): Promise<string | null> {
  for (const tool of LEGACY_TOOLS) {
    const rules = await say(tool, '-S').catch(() => '');
    if (HINDRANCE.test(rules)) return tool;
  }
  return null;
}

export async function firewallFacts(): Promise<Ruleset | Unknown> {
  const legacy = await legacyRules();
  if (legacy !== null) return { why: `it has rules of an older kind: look with ${legacy} -S` };
  try {
    const [json, text] = await Promise.all(
      ['-j', '-a'].map((option) => say('nft', option, 'list', 'ruleset')),
    );
    return readRuleset(JSON.parse(json!), text!);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isMissing) return { why: 'there is no nft to list rules with (apt install nftables)' };
    if (process.getuid?.() !== 0) return { why: 'it takes root to list rules' };
    return { why: 'nft does not list its rules' };
  }
}
