/** Installs the Debian packages that the tests in the lab need, where some are missing. */

import { spawnSync } from 'node:child_process';
import { missingPackages } from './tools.js';

/** Runs apt-get, whose output the reader sees. */
function aptGet(args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { error, status } = spawnSync('apt-get', ['-q', ...args], { env, stdio: 'inherit' });
  if (error !== undefined || status !== 0) {
    fail(`'apt-get ${args.join(' ')}' failed (${error?.message ?? `exit status ${status}`})`);
  }
}

function fail(reason: string): never {
  console.error(`The lab cannot be set up: ${reason}.`);
  process.exit(1);
}

if (process.platform !== 'linux') fail('it needs Linux, for its network namespaces');
if (process.getuid?.() !== 0) {
  fail(
    "it needs root, to make network namespaces; run it with sudo, or 'npm test' without the lab",
  );
}
const packages = missingPackages();
if (packages.length > 0) {
  console.log(`Installing Debian packages that the lab needs: ${packages.join(' ')}`);
  aptGet(['update']);
  aptGet(['install', '--yes', '--no-install-recommends', ...packages]);
  const left = missingPackages();
  if (left.length > 0) fail(`${left.join(' ')} installed, and yet their programs are missing`);
}
