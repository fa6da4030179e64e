/** `--netboot`: all that a machine needs to start from the network, while the image is served. */
import { Failure } from '../../failure.js';
import type { ServerEvent } from '../../server/events.js';
import { isIPv6Address } from '../net/family.js';
import type { NetbootOptions, ServerOptions } from '../options.js';
import { BootFolder } from './boot-folder.js';
import { BootServer } from './boot-server.js';
import { addressOf, type BootPlan, firstGrub } from './boot-texts.js';
import { Dnsmasq, makeTftpFolder, requireDnsmasq } from './dnsmasq.js';
import { ipv4NetworkOf, refuseRange } from './ipv4-network.js';

type Serving = Extract<ServerEvent, { type: 'serving' }>;

export class Netboot {
  private readonly folder: BootFolder;
  private bootServer: BootServer | null = null;
  private dnsmasq: Dnsmasq | null = null;
  private isClosed = false;
  private starting: Promise<void> = Promise.resolve();

  /**
   * Looks at what can be known before anything is served.
   * @param onFailure hears why nobody can start any more
   * @throws Failure when no machine could start
   */
  constructor(
    private readonly options: NetbootOptions,
    { group }: Pick<ServerOptions, 'group'>,
    private readonly observe: (event: ServerEvent) => void,
    private readonly onFailure: (failure: unknown) => void,
  ) {
    if (isIPv6Address(group)) {
      const text = '--netboot goes with an IPv4 group, as machines start by IPv4; leave -g out';
      throw new Failure('network', 'NO_MULTICAST', text);
    }
    this.folder = new BootFolder(options.folder);
    requireDnsmasq();
    if (!options.isUnattended) return;
    const text =
      '--unattended: every machine that starts from this network loses what is on its disk, and ' +
      'nobody is asked';
    observe({ type: 'warning', text });
  }

  /** The image is being served: machines may start. */
  begin(serving: Serving): void {
    this.starting = this.start(serving).catch((error) => this.onFailure(error));
  }

  private async start({ interface: label, group, port, serverPort, name }: Serving): Promise<void> {
    const { dhcpRange, isUnattended, extraWords } = this.options;
    const network = ipv4NetworkOf(label);
    const { address, netmask, prefixLength } = network;
    if (dhcpRange !== null) refuseRange(dhcpRange, network, label);
    const common = { address, serverPort, group, port };
    const plan: BootPlan = { ...common, image: name, isUnattended, extraWords };
    const tell = (text: string): void => this.observe({ type: 'notice', text });
    this.bootServer = await BootServer.start(plan, prefixLength, this.folder, tell);
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

  async close(): Promise<void> {
    this.isClosed = true;
    await this.starting;
    await this.dnsmasq?.close();
    await this.bootServer?.close();
  }
}
