/**
 * What an imaging host's network is like: a namespace with a bridge that virtual machines are
 * plugged into, and room for a multiserver; the site's DHCP server is another host.
 */

import { fileURLToPath } from 'node:url';
import { onCleanup } from '../lab/cleanup.js';
import { RunningProcess } from '../lab/running.js';
import { requireLab, runTool, toolPath } from '../lab/tools.js';

const multiserver = fileURLToPath(new URL('../../bin/multiserver.js', import.meta.url));
let networkCount = 0;

export interface NetworkOptions {
  /** By hardware address: what the DHCP server gives to whom. */
  hostNames?: Record<string, string>;
  /** False: nobody gives addresses, but for a multiserver. */
  hasDhcp?: boolean;
}

export class LiveNetwork {
  /** The imaging host's. */
  readonly namespace: string;
  private readonly site: string;
  private readonly removeNamespaces: () => void;
  private readonly started: RunningProcess[] = [];
  private portCount = 0;

  constructor({ hostNames = {}, hasDhcp = true }: NetworkOptions) {
    requireLab('dnsmasq');
    networkCount += 1;
    this.namespace = `live-${process.pid}-${networkCount}`;
    this.site = `${this.namespace}-site`;
    runTool('ip', ['netns', 'add', this.namespace]);
    runTool('ip', ['netns', 'add', this.site]);
    this.removeNamespaces = onCleanup(() => {
      runTool('ip', ['netns', 'del', this.site]);
      runTool('ip', ['netns', 'del', this.namespace]);
    });
    this.configure(this.namespace, [
      'link set lo up',
      // With an address of its own. Otherwise it takes another port's whenever a machine goes off,
      // and GRUB sends to the old one for ever.
      'link add br0 address 02:00:00:79:00:fe type bridge mcast_snooping 0 stp_state 0',
      'link set br0 up',
      'addr add 10.79.0.1/24 brd + dev br0',
      'route add 224.0.0.0/4 dev br0',
      `link add site type veth peer name e0 netns ${this.site}`,
      'link set site master br0 up',
    ]);
    this.configure(this.site, ['addr add 10.79.0.2/24 brd + dev e0', 'link set e0 up']);
    if (hasDhcp) this.giveAddresses(hostNames);
  }

  private giveAddresses(hostNames: Record<string, string>): void {
    const files = ['--conf-file=/dev/null', '--pid-file=', '--leasefile-ro', '--log-facility=-'];
    const range = ['--dhcp-range=10.79.0.50,10.79.0.99', '--interface=e0', '--bind-interfaces'];
    const hosts = Object.entries(hostNames).map(([mac, name]) => `--dhcp-host=${mac},${name}`);
    const words = ['--keep-in-foreground', '--port=0', ...files, ...range, ...hosts];
    this.startIn(this.site, toolPath('dnsmasq'), words);
  }

  /** @returns the name of a tap that is plugged into the bridge */
  addPort(): string {
    this.portCount += 1;
    const name = `tap${this.portCount}`;
    const steps = [`tuntap add dev ${name} mode tap`, `link set ${name} master br0 up`];
    this.configure(this.namespace, steps);
    return name;
  }

  /** Starts a program on the imaging host. */
  start(command: string, args: string[], watchMemory = false): RunningProcess {
    return this.startIn(this.namespace, command, args, watchMemory);
  }

  private startIn(
    namespace: string,
    command: string,
    args: string[],
    watchMemory = false,
  ): RunningProcess {
    const words = ['netns', 'exec', namespace, command, ...args];
    const running = new RunningProcess(toolPath('ip'), words, { watchMemory });
    this.started.push(running);
    return running;
  }

  /** Serves an image, at ports of the tests' own. */
  serve(image: string, more: string[] = []): RunningProcess {
    return this.serveAsUsual(image, ['-g', '225.0.20.79', '-p', '16079', '-s', '7579', ...more]);
  }

  /** Serves an image where clients look that were told nothing. */
  serveAsUsual(image: string, more: string[] = []): RunningProcess {
    return this.run(['-f', image, '-i', 'br0', ...more]);
  }

  /** Starts multiserver on the imaging host, whatever it is to do. */
  run(args: string[]): RunningProcess {
    return this.start(process.execPath, [multiserver, ...args]);
  }

  /** For the kernel's command line: options that fit the server. */
  static readonly options =
    'multiclient.group=225.0.20.79 multiclient.port=16079 multiclient.server=10.79.0.1:7579';

  /**
   * Lets that much through from a TCP port of the imaging host to one machine, and no more.
   *
   * @returns ends it
   */
  blockAfter(bytes: number, port: number, mac: string): () => void {
    const name = `block${port}`;
    const rule = `ether daddr ${mac} tcp sport ${port} quota over ${bytes} bytes drop`;
    const hook = 'type filter hook output priority 0;';
    const inside = ['netns', 'exec', this.namespace, 'nft'];
    runTool(
      'ip',
      [...inside, '-f', '-'],
      `table bridge ${name} { chain out { ${hook} ${rule}; }; }\n`,
    );
    return () => void runTool('ip', [...inside, 'delete', 'table', 'bridge', name]);
  }

  async close(): Promise<void> {
    for (const running of this.started) if (running.exit === null) running.kill('SIGKILL');
    await Promise.allSettled(this.started.map((running) => running.exited));
    this.removeNamespaces();
  }

  private configure(namespace: string, steps: string[]): void {
    const text = steps.map((line) => `${line}\n`).join('');
    runTool('ip', ['-n', namespace, '-batch', '-'], text);
  }
}
