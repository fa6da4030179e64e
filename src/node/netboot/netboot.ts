/** `--netboot`: all that a machine needs to start from the network, while the image is served. */
import { Failure } from '../../failure.js';
import type { ServerEvent } from '../../server/events.js';
import { isIPv6Address } from '../net/family.js';
import type { NetbootOptions, ServerOptions } from '../options.js';
import { BootFolder } from './boot-folder.js';
import { BootServer } from './boot-server.js';
import { addressOf, type BootPlan, firstGrub } from './boot-texts.js';
import { Dnsmasq, makeTftpFolder, refuseOtherTftp, requireDnsmasq } from './dnsmasq.js';
import { ipv4NetworkOf, refuseRange } from './ipv4-network.js';

type Serving = Extract<ServerEvent, { type: 'serving' }>;

/** What is done after a copy (`--fit`, hooks) takes some seconds. */
const READY_MS = 60_000;

export class Netboot {
  private readonly folder: BootFolder;
  private readonly wantedInterface: string | undefined;
  private bootServer: BootServer | null = null;
  private dnsmasq: Dnsmasq | null = null;
  /** Hardware addresses of machines that hold a copy from before a restart. */
  private readonly kept: string[] = [];
  private isClosed = false;
  private starting: Promise<void> = Promise.resolve();

  /**
   * Looks at what can be known before anything is served.
   * @param onFailure hears why nobody can start any more
   * @throws Failure when no machine could start
   */
  constructor(
    private readonly options: NetbootOptions,
    { group, interface: wanted }: Pick<ServerOptions, 'group' | 'interface'>,
    private readonly observe: (event: ServerEvent) => void,
    private readonly onFailure: (failure: unknown) => void,
  ) {
    if (isIPv6Address(group)) {
      const text = '--netboot goes with an IPv4 group, as machines start by IPv4; leave -g out';
      throw new Failure('network', 'NO_MULTICAST', text);
    }
    this.wantedInterface = wanted;
    this.folder = new BootFolder(options.folder);
    requireDnsmasq();
    if (!options.isUnattended) return;
    const text =
      '--unattended: every machine that starts from this network loses what is on its disk, and ' +
      'nobody is asked';
    observe({ type: 'warning', text });
  }

  /** The image is being served: machines may start. */
  private begin(serving: Serving): void {
    this.starting = this.start(serving).catch((error) => this.onFailure(error));
  }

  private async start({ interface: label, group, port, serverPort, name }: Serving): Promise<void> {
    const { dhcpRange, isUnattended, extraWords } = this.options;
    const network = ipv4NetworkOf(label, this.wantedInterface, dhcpRange);
    const { address, netmask, prefixLength } = network;
    if (dhcpRange !== null) refuseRange(dhcpRange, network, label);
    const common = { address, serverPort, group, port };
    const plan: BootPlan = { ...common, image: name, isUnattended, extraWords };
    const tell = (text: string): void => this.observe({ type: 'notice', text });
    await refuseOtherTftp(address);
    this.bootServer = await BootServer.start(plan, prefixLength, this.folder, tell);
    for (const mac of this.kept) this.bootServer.knowProven(mac);
    this.dnsmasq = await Dnsmasq.start(
      {
        interface: label,
        address,
        netmask,
        range: dhcpRange,
        ipxeUrl: `${addressOf(plan)}/start.ipxe`,
        tftpFolder: makeTftpFolder(this.folder.loaders, firstGrub(plan)),
      },
      (failure) => this.onFailure(failure),
    );
    // The run may have ended while it started.
    if (this.isClosed) return;
    const mode = dhcpRange === null ? 'proxy' : 'dhcp';
    this.observe({ type: 'netboot', address, serverPort, mode, isUnattended });
  }

  /** Takes an event of the server in. */
  note(event: ServerEvent): void {
    if (event.type === 'serving') this.begin(event);
    if (event.type !== 'copies-kept') return;
    for (const { identity } of event.clients) if (identity.mac) this.kept.push(identity.mac);
    for (const mac of this.kept) this.bootServer?.knowProven(mac);
  }

  /**
   * All wanted copies are proven: machines do what they are to do then, and say that they are
   * ready. Whoever could not would start from the network, and copy anew.
   */
  async awaitMachines(signal: AbortSignal): Promise<void> {
    await this.starting;
    const count = this.bootServer?.startedCount ?? 0;
    if (count === 0 || signal.aborted) return;
    const machines = count === 1 ? '1 machine' : `${count} machines`;
    const text =
      `${machines} that started from here will say when it is ready to start from its disk: ` +
      `waiting for that, up to ${READY_MS / 1000} s`;
    this.observe({ type: 'notice', text });
    await this.bootServer!.untilReady(READY_MS, signal);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.starting;
    await this.dnsmasq?.close();
    await this.bootServer?.close();
  }
}
