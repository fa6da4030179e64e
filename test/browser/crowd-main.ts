/** Runs a crowd until it is ended: `crowd-main PORT COUNT`. */
import { ClientState } from '../../src/protocol/from-client.js';
import { Crowd, type CrowdMember } from './crowd.js';

const port = Number(process.argv[2]);
const count = Number(process.argv[3]);

function memberAt(index: number): CrowdMember {
  const number = String(index + 1).padStart(3, '0');
  const host = index === 6 ? '<script>globalThis.isHacked = 1</script>' : `pc-${number}`;
  const mac = `52:54:00:12:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255)
    .toString(16)
    .padStart(2, '0')}`;
  const identity = {
    mac,
    product: 'Dell Inc. OptiPlex 7090',
    serial: `SN-${1000 + index}`,
    diskModel: 'Samsung SSD 870 EVO',
    diskBytes: 500_107_862_016,
    version: '0.1.0',
    linkBitsPerSecond: 1e9,
    isFullDuplex: true,
  };
  const pace = 0.7 + ((index * 37) % 60) / 100;
  return {
    host,
    identity,
    at(seconds) {
      const progress = Math.min(0.99, 0.05 + (pace * seconds) / 90);
      if (index % 97 === 3) return { progress: progress * 0.6, loss: 0.08 };
      if (index % 101 === 11) return { progress: 0.2, state: ClientState.failed };
      return { progress };
    },
  };
}

const crowd = new Crowd(
  port,
  Array.from({ length: count }, (_, index) => memberAt(index)),
);
await crowd.come();
console.error('here');
