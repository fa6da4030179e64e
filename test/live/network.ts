/**
 * A namespace with a bridge that virtual machines are plugged into, a DHCP server, and room for
 * a multiserver: what an imaging host's network is like.
 */

import { fileURLToPath } from 'node:url';
import { onCleanup } from '../lab/cleanup.js';
import { RunningProcess } from '../lab/running.js';
import { requireLab, runTool, toolPath } from '../lab/tools.js';

const multiserver = fileURLToPath(new URL('../../bin/multiserver.js', import.meta.url));
let networkCount = 0;

export class LiveNetwork {
  readonly #namespace: string;
  readonly #removeNamespace: () => void;
  readonly #started: RunningProcess[] = [];
  #portCount = 0;

  /** @param hostNames by hardware address: what the DHCP server gives to whom */
  constructor(hostNames: Record<string, string>) {
    requireLab('dnsmasq');
    networkCount += 1;
    this.#namespace = `live-${process.pid}-${networkCount}`;
    runTool('ip', ['netns', 'add', this.#namespace]);
    this.#removeNamespace = onCleanup(() => runTool('ip', ['netns', 'del', this.#namespace]));
    this.#configure([
      'link set lo up',
      'link add br0 type bridge mcast_snooping 0 stp_state 0',
      'link set br0 up',
      'addr add 10.79.0.1/24 brd + dev br0',
      'route add 224.0.0.0/4 dev br0',
    ]);
    const files = ['--conf-file=/dev/null', '--pid-file=', '--leasefile-ro', '--log-facility=-'];
    const range = ['--dhcp-range=10.79.0.50,10.79.0.99', '--interface=br0', '--bind-interfaces'];
    const hosts = Object.entries(hostNames).map(([mac, name]) => `--dhcp-host=${mac},${name}`);
    this.start(toolPath('dnsmasq'), [
      '--keep-in-foreground',
      '--port=0',
      ...files,
      ...range,
      ...hosts,
    ]);
  }

  /** @returns the name of a tap that is plugged into the bridge */
  addPort(): string {
    this.#portCount += 1;
    const name = `tap${this.#portCount}`;
    this.#configure([`tuntap add dev ${name} mode tap`, `link set ${name} master br0 up`]);
    return name;
  }

  /** Starts a program inside. */
  start(command: string, args: string[]): RunningProcess {
    const words = ['netns', 'exec', this.#namespace, command, ...args];
    const running = new RunningProcess(toolPath('ip'), words);
    this.#started.push(running);
    return running;
  }

  /** Serves an image, at ports of the tests' own. */
  serve(image: string): RunningProcess {
    const network = ['-i', 'br0', '-g', '225.0.20.79', '-p', '16079', '-s', '7579'];
    return this.start(process.execPath, [multiserver, '-f', image, ...network]);
  }

  /** For the kernel's command line: options that fit the server. */
  static readonly options =
    'multiclient.group=225.0.20.79 multiclient.port=16079 multiclient.server=10.79.0.1:7579';

  async close(): Promise<void> {
    for (const running of this.#started) if (running.exit === null) running.kill('SIGKILL');
    await Promise.allSettled(this.#started.map((running) => running.exited));
    this.#removeNamespace();
  }

  #configure(steps: string[]): void {
    const text = steps.map((line) => `${line}\n`).join('');
    runTool('ip', ['-n', this.#namespace, '-batch', '-'], text);
  }
}
