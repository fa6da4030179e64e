/**
 * A network of its own: hosts that are network namespaces, joined by a bridge that lives in
 * one more. Nothing sent inside can leave the machine.
 */

import { readdirSync } from 'node:fs';
import { onCleanup } from './cleanup.js';
import { RunningProcess, type StartOptions } from './running.js';
import { requireLab, runTool, toolPath } from './tools.js';

/** What a host's link does to packets. */
export interface LinkOptions {
  /** Share of packets lost on their way to the host, 0 to 1. */
  lossRatio?: number;
  /** Bandwidth from the bridge to the host, with a queue of `queueBytes` that drops its tail. */
  inRateBitsPerSecond?: number;
  /** Bandwidth from the host to the bridge. */
  outRateBitsPerSecond?: number;
  /** False: packets leave the host one by one, as netem needs to drop single ones. */
  segmentationOffload?: boolean;
}

export interface WorldOptions {
  /** One entry for each host. */
  hosts: LinkOptions[];
  /** Bytes of an IP packet on every link; 1500 if not given. */
  mtu?: number;
}

/** Smaller than a train, so that a shaped link carries single packets, as a real one does. */
const burstBytes = 32 * 1024;
/** About what the queue of a network card holds. */
const outQueueBytes = 2 * 1024 * 1024;
/** About what a switch has for one port. */
const inQueueBytes = 256 * 1024;

let worldCount = 0;

export class Host {
  readonly address: string;
  readonly address6: string;
  private readonly processes: RunningProcess[] = [];

  constructor(
    readonly namespace: string,
    readonly bridgeNamespace: string,
    /** 1 for the first host. */
    readonly number: number,
    readonly mtu: number,
  ) {
    this.address = `10.77.0.${number}`;
    this.address6 = `fd77::${number.toString(16)}`;
  }

  /** The bridge's end of this host's link. */
  get bridgePort(): string {
    return `p${this.number}`;
  }

  /** Starts a program in this host; its process id is the program's own. */
  start(command: string, args: string[], options: StartOptions = {}): RunningProcess {
    const [ip, ipArgs] = this.command(command, args);
    return this.adopt(new RunningProcess(ip, ipArgs, options));
  }

  /** The command line that runs a program in this host. */
  command(command: string, args: string[]): [string, string[]] {
    return [toolPath('ip'), ['netns', 'exec', this.namespace, command, ...args]];
  }

  /** Lets the world end this process when it closes. */
  adopt<P extends RunningProcess>(running: P): P {
    this.processes.push(running);
    return running;
  }

  /** Changes the link; what is not named goes back to an unhindered link. */
  setLink(options: LinkOptions): void {
    const offload = (options.segmentationOffload ?? true) ? 'on' : 'off';
    const ethtool = ['-K', 'e0', 'gso', offload, 'tx-udp-segmentation', offload];
    runTool('ip', ['netns', 'exec', this.namespace, toolPath('ethtool'), ...ethtool]);
    const { lossRatio = 0, inRateBitsPerSecond = 0, outRateBitsPerSecond = 0 } = options;
    setQueues(this.namespace, 'e0', [shaper(outRateBitsPerSecond, outQueueBytes)]);
    setQueues(this.bridgeNamespace, this.bridgePort, [
      shaper(inRateBitsPerSecond, inQueueBytes),
      ...dropper(lossRatio),
    ]);
  }

  /** Pulls the cable, or puts it back. */
  setConnected(connected: boolean): void {
    const state = connected ? 'up' : 'down';
    runTool('ip', ['-n', this.bridgeNamespace, 'link', 'set', this.bridgePort, state]);
  }

  /** Removes the network interface, as when an adapter is pulled out. */
  unplug(): void {
    runTool('ip', ['-n', this.bridgeNamespace, 'link', 'del', this.bridgePort]);
  }

  /** Makes the network interface, and configures it as ever. */
  plugIn(): void {
    const { address, address6, bridgePort, mtu } = this;
    const bridgeSteps = [
      `link add ${bridgePort} mtu ${mtu} type veth peer name e0 mtu ${mtu} netns ${this.namespace}`,
      `link set ${bridgePort} master br0 addrgenmode none up`,
    ];
    runTool('ip', ['-n', this.bridgeNamespace, '-batch', '-'], lines(bridgeSteps));
    const steps = [
      'link set lo up',
      `link set e0 mtu ${mtu} up`,
      `addr add ${address}/24 brd + dev e0`,
      // Without nodad the address cannot be used for the first second.
      `addr add ${address6}/64 dev e0 nodad`,
      // IPv6 has its route to ff00::/8 from the kernel.
      'route add 224.0.0.0/4 dev e0',
    ];
    runTool('ip', ['-n', this.namespace, '-batch', '-'], lines(steps));
  }

  /** Ends at once what still runs here. */
  async killAll(): Promise<void> {
    for (const running of this.processes) if (running.exit === null) running.kill('SIGKILL');
    await Promise.allSettled(this.processes.map((running) => running.exited));
    this.processes.length = 0;
  }
}

/** Replaces all that a device does to packets that leave it. */
function setQueues(namespace: string, device: string, kinds: string[]): void {
  const now = runTool('tc', ['-n', namespace, 'qdisc', 'show', 'dev', device]);
  const steps: string[] = [];
  if (now.includes('qdisc tbf')) steps.push(`qdisc del dev ${device} root`);
  if (now.includes('qdisc clsact')) steps.push(`qdisc del dev ${device} clsact`);
  for (const kind of kinds) if (kind !== '') steps.push(kind.replaceAll('DEVICE', device));
  if (steps.length > 0) runTool('tc', ['-n', namespace, '-batch', '-'], lines(steps));
}

function shaper(rateBitsPerSecond: number, queueBytes: number): string {
  if (rateBitsPerSecond === 0) return '';
  const tbf = `tbf rate ${rateBitsPerSecond}bit burst ${burstBytes} limit ${queueBytes}`;
  return `qdisc add dev DEVICE root ${tbf}`;
}

/**
 * Drops packets at random, as netem would. Many small kernels come without netem; this filter
 * of four classic BPF instructions needs no more than the shaper does.
 */
function dropper(lossRatio: number): string[] {
  if (lossRatio === 0) return [];
  const threshold = Math.min(2 ** 32 - 1, Math.round(lossRatio * 2 ** 32));
  const program = [
    '4',
    '32 0 0 4294963256', // A = random 32 bits
    `53 1 0 ${threshold}`, // if A >= threshold, skip one
    '6 0 0 2', // drop
    '6 0 0 0', // pass
  ].join(',');
  return [
    'qdisc add dev DEVICE clsact',
    `filter add dev DEVICE egress bpf da bytecode "${program}"`,
  ];
}

function lines(steps: string[]): string {
  return steps.map((step) => `${step}\n`).join('');
}

export class World {
  readonly hosts: Host[] = [];
  private readonly bridge: string;
  private readonly removeNamespaces: () => void;

  /** @throws Error when this machine cannot have a lab, with what to do about it */
  constructor(options: WorldOptions) {
    requireLab();
    const { mtu = 1500 } = options;
    worldCount += 1;
    const prefix = `mcast-${process.pid}-${worldCount}`;
    this.bridge = `${prefix}-bridge`;
    const made: string[] = [];
    this.removeNamespaces = onCleanup(() => {
      // Not all are there when building failed half-way.
      const present = new Set(readdirSync('/run/netns'));
      const gone = made.filter((name) => present.has(name)).map((name) => `netns del ${name}`);
      runTool('ip', ['-batch', '-'], lines(gone));
    });
    try {
      options.hosts.forEach((_, index) => {
        this.hosts.push(new Host(`${prefix}-h${index + 1}`, this.bridge, index + 1, mtu));
      });
      made.push(this.bridge, ...this.hosts.map((host) => host.namespace));
      runTool('ip', ['-batch', '-'], lines(made.map((name) => `netns add ${name}`)));
      this.buildBridge(mtu);
      for (const host of this.hosts) host.plugIn();
      for (const [index, link] of options.hosts.entries()) {
        if (Object.keys(link).length > 0) this.hosts[index]!.setLink(link);
      }
    } catch (error) {
      this.removeNamespaces();
      throw error;
    }
  }

  /** @param number 1 for the first host */
  host(number: number): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`this world has no host ${number}`);
    return host;
  }

  /** Ends the processes that were started here, and removes the namespaces. */
  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.killAll()));
    this.removeNamespaces();
  }

  private buildBridge(mtu: number): void {
    const steps = [
      'link set lo up',
      'link add br0 type bridge mcast_snooping 0 stp_state 0',
      `link set br0 mtu ${mtu} addrgenmode none up`,
    ];
    runTool('ip', ['-n', this.bridge, '-batch', '-'], lines(steps));
  }
}
