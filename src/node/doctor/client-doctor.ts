/** The doctor of a client: looks, asks and listens for about six seconds, and writes to no disk. */
import type { Check } from '../../doctor/check.js';
import { examine } from '../../doctor/examine.js';
import type { Facts, KeyFacts, PathFacts, ServerFacts } from '../../doctor/facts.js';
import { Failure } from '../../failure.js';
import { usualPlaceBeside } from '../client-config.js';
import type { GroupReceiver } from '../net/group-socket.js';
import type { ChosenInterface } from '../net/network-interface.js';
import { WANTED_RECEIVE_BUFFER_BYTES } from '../net/node-socket.js';
import { openGroupReceiver } from '../net/open-group.js';
import type { ClientOptions } from '../options.js';
import { readKeyFile } from '../trust-files.js';
import { readCounters } from './counters.js';
import { findElsewhere } from './elsewhere.js';
import { askWithKey } from './key-probing.js';
import { localFacts, noteKernel, routeFacts, usableInterface } from './local-facts.js';
import { targetFacts } from './machine-facts.js';
import { headersOf, PathProbing } from './path-probing.js';
import { holderOfPort } from './port-holder.js';
import { Prober } from './prober.js';
import { QuerierWatch } from './querier-watch.js';

const USUAL_TURNS = 4;

/**
 * @param chosenServer of a copy that began: the address of its server
 * @returns all checks, causes first
 * @throws Failure when the key that is named cannot be read
 */
export async function doctorClient(
  options: ClientOptions,
  signal: AbortSignal,
  chosenServer: string | null = null,
): Promise<Check[]> {
  signal.throwIfAborted();
  const { keyFile } = options;
  const secret = keyFile === undefined ? null : readKeyFile(keyFile);
  const facts = await localFacts('client', { ...options, chosenServer }, '-p');
  facts.target = targetFacts(options.output);
  const chosen = usableInterface(options);
  if (chosen !== null) await ask(facts, options, chosen, secret);
  signal.throwIfAborted();
  return examine(facts);
}

async function ask(
  facts: Facts,
  options: ClientOptions,
  chosen: ChosenInterface,
  secret: Buffer | null,
): Promise<void> {
  const { group, port, ttl, offload, ownsProcess = true, fromPort } = options;
  const before = readCounters();
  const querier = QuerierWatch.open(chosen, group);
  let prober: Prober | null = null;
  let receiver: GroupReceiver | null = null;
  try {
    prober = await Prober.open(chosen, { group, ttl, fromPort });
    const taker = prober;
    receiver = await openGroupReceiver(
      { group, port, chosen, ttl, offload, ownsProcess },
      {
        onPackets: (bytes, start, end, address) => {
          taker.takeGroup(bytes, start, end, address);
          return false;
        },
        onBatch: () => {},
        canTake: () => true,
        onNotice: () => {},
      },
    );
    // Linux tells twice what it was asked for, to count its own share in.
    const grantedBytes = receiver.receiveBufferBytes / 2;
    facts.buffer = { grantedBytes, wantedBytes: WANTED_RECEIVE_BUFFER_BYTES };
    facts.path = await probe(facts, prober, receiver, chosen, ttl);
    facts.path.key = await keyFacts(facts.path, prober, facts.wanted.serverPort, secret);
    const { serverHost } = facts.wanted;
    facts.routes = routeFacts(group, facts.path.servers[0]?.address ?? serverHost);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code === 'PORT_TAKEN') noteTaken(facts, prober === null ? (fromPort ?? 0) : port);
  } finally {
    noteKernel(facts, chosen, before);
    prober?.close();
    receiver?.close();
    facts.querierHeard = querier?.close() ?? null;
  }
}

function noteTaken(facts: Facts, port: number): void {
  const option = port === facts.wanted.port ? '-p' : '-f';
  facts.port = { taken: port, holder: holderOfPort(port), option };
}

async function probe(
  facts: Facts,
  prober: Prober,
  receiver: GroupReceiver,
  chosen: ChosenInterface,
  ttl: number,
): Promise<PathFacts> {
  const probing = new PathProbing(prober, facts.wanted);
  const servers = await probing.discover();
  const [server] = servers;
  if (server !== undefined) receiver.expect(server.packetBytes - headersOf(facts.wanted.group));
  // A server that was found on this interface does not move to another one.
  const isNobody = servers.length === 0 && facts.wanted.chosenServer === null;
  const elsewhere = isNobody ? await findElsewhere(chosen, facts.wanted, ttl) : null;
  const atUsual = isNobody && elsewhere === null ? await findAtUsual(prober, facts.wanted) : null;
  return { ...(await probing.examine(servers)), elsewhere, atUsual, key: null, askers: [] };
}

/** A client asks there as well, where it looks for a server in vain. */
async function findAtUsual(prober: Prober, wanted: Facts['wanted']): Promise<ServerFacts | null> {
  const usual = usualPlaceBeside(wanted, wanted.serverHost);
  if (usual === null) return null;
  const target = { ...wanted, group: usual.address, serverPort: usual.port };
  const [server] = await new PathProbing(prober, target).discover(USUAL_TURNS);
  return server ?? null;
}

/** A doctor that answers has no use for a key, and a server in the open takes nothing sealed. */
async function keyFacts(
  { servers: [server] }: PathFacts,
  prober: Prober,
  port: number,
  secret: Buffer | null,
): Promise<KeyFacts | null> {
  if (secret === null || server === undefined || server.isDoctor) return null;
  return askWithKey(prober, { address: server.address, port }, secret);
}
