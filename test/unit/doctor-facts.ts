/** Facts of a machine on which all is well, to be made worse by tests. */
import type { Facts, PathFacts, Role } from '../../src/doctor/facts.js';

export const GROUP = '225.0.20.10';

export function soundPath(): PathFacts {
  return {
    servers: [
      {
        address: '10.0.0.1',
        session: 7n,
        name: 'lab.img',
        isDoctor: true,
        imageSizeBytes: 0,
        group: GROUP,
        port: 16_000,
        packetBytes: 1500,
      },
    ],
    elsewhere: null,
    atUsual: null,
    strangers: [],
    unicast: { sent: 10, answered: 10 },
    groupOut: { sent: 10, answered: 10 },
    groupIn: { sent: 16, answered: 16 },
    key: null,
    groupPacketsIn: 16,
    mtu: { wantedBytes: 1500, passedBytes: 1500 },
    bursts: [{ rateBitsPerSecond: 10e6, isMost: false, sent: 40, received: 40 }],
    askers: [],
  };
}

export function soundFacts(role: Role = 'client'): Facts {
  return {
    wanted: {
      role,
      interface: 'eth0',
      group: GROUP,
      port: 16_000,
      serverHost: null,
      keyFile: null,
      chosenServer: null,
      serverPort: 7500,
    },
    link: {
      name: 'eth0',
      isUp: true,
      hasCarrier: true,
      speedMegabits: 1000,
      duplex: 'full',
      isCard: true,
      mtuBytes: 1500,
      addresses: ['10.0.0.2'],
    },
    candidates: ['eth0'],
    routes: { toGroup: 'eth0', toServer: 'eth0' },
    port: { taken: null, holder: null, option: '-p' },
    firewall: { chains: [], rules: [], texts: new Map() },
    conntrack: null,
    reversePath: { level: 0, droppedCount: 0 },
    isMember: true,
    querierHeard: true,
    bridge: null,
    buffer: { grantedBytes: 64 * 2 ** 20, wantedBytes: 64 * 2 ** 20 },
    path: soundPath(),
    machine: { cores: 4, freeBytes: 2 ** 32, hasNative: true, blake3: 'native', zstd: 'node' },
    target: null,
  };
}
