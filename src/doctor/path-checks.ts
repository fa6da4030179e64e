/** Checks of what passes between this machine and the other side. */
import { type Check, ok, unknown, wrong } from './check.js';
import { type Facts, isKnown, type PathFacts, type ServerFacts } from './facts.js';

/** A slow rate at which nothing is lost on a sound path. */
const SLOW_BITS_PER_SECOND = 50e6;
const MUCH_LOSS_RATIO = 0.05;
const NOBODY = 'no server answered';
const OF_CLIENTS = 'the doctor of a client finds that out: run multiclient --doctor';

export function pathChecks(facts: Facts): Check[] {
  return [
    membershipCheck(facts),
    agreementCheck(facts),
    otherServersCheck(facts),
    strangersCheck(facts),
    ...(facts.wanted.role === 'client' ? clientChecks(facts) : serverChecks(facts)),
  ];
}

function membershipCheck({ isMember, link, wanted }: Facts): Check {
  const { group } = wanted;
  if (!isKnown(link)) return unknown('membership', 'there is no interface to join on');
  if (isMember === null) return unknown('membership', 'the system does not tell');
  if (isMember) return ok('membership', `${link.name} is in ${group}`);
  const remedy = 'sysctl -w net.ipv4.igmp_max_memberships=100, and look whether it has an address';
  return wrong('membership', `the system does not join ${group} on ${link.name}`, remedy);
}

/** A server with a key tells no doctor what it has. */
const isSealed = ({ name, isDoctor }: ServerFacts): boolean => name === '' && !isDoctor;

function placeOf(server: ServerFacts): string {
  const { name, address } = server;
  return isSealed(server) ? `a server with a key at ${address}` : `'${name}' at ${address}`;
}

function agreementCheck({ path, wanted }: Facts): Check {
  if (path?.atUsual != null) {
    const finding = `nobody answers there, but ${placeOf(path.atUsual)} does at the usual ones`;
    const { group, port } = path.atUsual;
    return wrong('agreement', finding, `leave -s PORT out, and start with -g ${group} -p ${port}`);
  }
  if (path === null || path.servers.length === 0) return unknown('agreement', NOBODY);
  const { group, port } = wanted;
  const other = path.servers.find((server) => server.group !== group || server.port !== port);
  if (other === undefined) return ok('agreement', `all say ${group} port ${port}`);
  const finding = `${placeOf(other)} sends to ${other.group} port ${other.port}`;
  return wrong('agreement', finding, `start with -g ${other.group} -p ${other.port}`);
}

function otherServersCheck({ path, wanted }: Facts): Check {
  if (path === null) return unknown('other-servers', 'nothing could be asked');
  const places = path.servers.map(placeOf).join(', ');
  const most = wanted.role === 'client' ? 1 : 0;
  if (path.servers.length > most) {
    const remedy =
      'end those that nobody wants, or give each a group and ports of its own ' +
      '(multiserver -g 225.0.20.11 -p 16001 -s 7501); a client chooses by --image or -s ADDRESS';
    return wrong('other-servers', `${path.servers.length} answer here: ${places}`, remedy);
  }
  if (path.servers.length === 0) {
    return wanted.role === 'client'
      ? unknown('other-servers', NOBODY)
      : ok('other-servers', 'no other one answers');
  }
  return ok('other-servers', `only ${places}`);
}

function strangersCheck({ path, wanted }: Facts): Check {
  if (path === null) return unknown('strangers', 'nothing could be heard');
  const { group, port } = wanted;
  if (path.strangers.length === 0) return ok('strangers', `nothing foreign came to ${group}`);
  const finding = `${path.strangers.join(', ')} sends something else to ${group} port ${port}`;
  const remedy = 'choose another group and port on both sides: -g 225.0.20.11 -p 16001';
  return wrong('strangers', finding, remedy);
}

function serverChecks({ path, querierHeard }: Facts): Check[] {
  const askers = path?.askers ?? [];
  const heard =
    askers.length > 0
      ? ok('server', `doctors of clients asked: ${askers.join(', ')}`)
      : unknown('server', 'no doctor of a client asked meanwhile');
  const ids = ['key', 'unicast', 'group-out', 'group-in', 'mtu', 'loss'] as const;
  const snooping = unknown('snooping', `${heardText(querierHeard)}; ${OF_CLIENTS}`);
  return [heard, snooping, ...ids.map((id) => unknown(id, OF_CLIENTS))];
}

function clientChecks(facts: Facts): Check[] {
  const { path } = facts;
  const ids = ['key', 'unicast', 'group-out', 'snooping', 'group-in', 'mtu', 'loss'] as const;
  const server = serverCheck(facts);
  if (path === null || server.verdict !== 'ok') {
    return [server, ...ids.map((id) => unknown(id, path === null ? 'not tried' : NOBODY))];
  }
  return [
    server,
    keyCheck(facts, path),
    unicastCheck(facts, path),
    groupOutCheck(facts, path),
    snoopingCheck(facts, path),
    groupInCheck(facts, path),
    mtuCheck(path),
    lossCheck(path),
  ];
}

/** A link-local address of IPv6 may come with or without its scope. */
const isAt = ({ address }: ServerFacts, wanted: string): boolean =>
  address.split('%')[0] === wanted.split('%')[0];

function serverCheck({ path, wanted }: Facts): Check {
  if (path === null) return unknown('server', 'nothing could be asked');
  const { servers } = path;
  const { chosenServer } = wanted;
  if (chosenServer !== null && !servers.some((server) => isAt(server, chosenServer))) {
    const finding = `the server at ${chosenServer} does not answer any more`;
    return wrong('server', finding, 'it is waited for');
  }
  if (servers.length > 0) return ok('server', servers.map(placeOf).join(', '));
  if (path.atUsual !== null) return unknown('server', 'one was found that was not asked for');
  const { serverHost, group, serverPort } = wanted;
  const where = serverHost ?? `the group ${group}`;
  return wrong(
    'server',
    `nobody answers at ${where}, port ${serverPort}`,
    "start multiserver --doctor on the server's machine and run this again; " +
      (serverHost === null ? 'try -s ADDRESS' : `try ping ${serverHost}`),
  );
}

function keyCheck({ wanted }: Facts, { servers, key }: PathFacts): Check {
  const [server] = servers;
  if (server === undefined) return unknown('key', NOBODY);
  const { keyFile } = wanted;
  const { address } = server;
  if (server.isDoctor) return unknown('key', 'only a multiserver that serves an image uses one');
  if (!isSealed(server)) {
    if (keyFile === null) return ok('key', 'neither side has one');
    const finding = `the server at ${address} sends in the open, without a key`;
    return wrong('key', finding, `leave --key out, or start it with multiserver --key ${keyFile}`);
  }
  if (keyFile === null) {
    const finding = `the server at ${address} has a key, and none is given here`;
    return wrong('key', finding, 'copy its key file to this machine, and give it with --key FILE');
  }
  switch (key) {
    case 'same':
      return ok('key', `the server at ${address} has the key in ${keyFile}`);
    case 'other': {
      const finding = `the server at ${address} has another key than the one in ${keyFile}`;
      return wrong('key', finding, 'copy its key file to this machine, and give that with --key');
    }
    default:
      return unknown('key', `the server at ${address} did not answer who asked with it`);
  }
}

function unicastCheck({ wanted, link }: Facts, { unicast, servers }: PathFacts): Check {
  const { sent, answered } = unicast;
  if (sent === 0) return unknown('unicast', 'not tried');
  const finding = `${answered} of ${sent} requests were answered by unicast`;
  if (answered > 0) return ok('unicast', finding);
  const { serverPort } = wanted;
  const address = servers[0]?.address ?? 'the server';
  const name = isKnown(link) ? link.name : 'the interface';
  return wrong(
    'unicast',
    `${address} hears requests, as it answers to the group, but no unicast answer arrives`,
    `let in UDP from ${address} port ${serverPort}, in the server's firewall and on the way ` +
      `(tcpdump -ni ${name} udp port ${serverPort} shows whether answers come)`,
  );
}

function groupOutCheck(facts: Facts, path: PathFacts): Check {
  const { wanted } = facts;
  const { groupOut, servers } = path;
  const { sent, answered } = groupOut;
  if (sent === 0) return unknown('group-out', 'not tried');
  const finding = `${answered} of ${sent} requests to the group were answered`;
  if (answered > 0) return ok('group-out', finding);
  const { group, serverHost, serverPort } = wanted;
  if (serverHost !== null) return namedOutCheck(facts, path);
  const remedy =
    `multiclient -s ${servers[0]?.address ?? 'ADDRESS'} asks by unicast; or let in UDP to ` +
    `${group} ` +
    `port ${serverPort} on the server`;
  return wrong('group-out', `${finding}, though requests by unicast are`, remedy);
}

/** Whoever asks by unicast needs no requests to the group. Its stream does have to arrive. */
function namedOutCheck({ wanted, bridge }: Facts, { groupIn, unicast }: PathFacts): Check {
  const { serverHost } = wanted;
  const isSnooped = bridge?.snoops === true && !bridge.asks;
  if (groupIn.answered > 0 || groupIn.sent === 0 || unicast.answered === 0 || isSnooped) {
    return unknown('group-out', `${serverHost} is asked by unicast, as named with -s`);
  }
  return wrong(
    'group-out',
    `${serverHost} answers by unicast, but its stream does not get here, nor do requests to the ` +
      'group get there',
    "look at multiserver's own -i: it is to name the interface towards this machine; then at " +
      'the switches between',
  );
}

const heardText = (heard: boolean | null): string =>
  heard === null
    ? 'queriers could not be listened for (that takes root, koffi and IPv4)'
    : heard
      ? 'a querier asks who listens'
      : 'no querier was heard';

/** Nothing for the group comes by the wire, and this machine drops none. */
const isLostOutside = ({ groupIn, groupPacketsIn }: PathFacts): boolean =>
  groupIn.sent > 0 && groupIn.answered === 0 && groupPacketsIn < groupIn.sent / 2;

function snoopingCheck({ querierHeard, bridge, wanted }: Facts, path: PathFacts): Check {
  const heard = heardText(querierHeard);
  if (path.groupIn.answered > 0) {
    if (querierHeard !== false) return ok('snooping', `multicast arrives; ${heard}`);
    return ok('snooping', `multicast arrives; ${heard}: fine unless a switch snoops`);
  }
  if (!isLostOutside(path) || path.unicast.answered === 0) {
    return unknown('snooping', 'what else is wrong hides it');
  }
  if (querierHeard === true) return ok('snooping', heard);
  const [name, what] =
    bridge?.snoops && !bridge.asks
      ? [bridge.name, `the bridge ${bridge.name} snoops without a querier`]
      : ['BRIDGE', `${heard}, and the network does not carry ${wanted.group} here`];
  return wrong(
    'snooping',
    `${what}: a switch with IGMP snooping and no querier drops it`,
    `switch the querier on (ip link set ${name} type bridge mcast_querier 1), or snooping off ` +
      `(ip link set ${name} type bridge mcast_snooping 0)`,
  );
}

function groupInCheck({ wanted }: Facts, path: PathFacts): Check {
  const { sent, answered } = path.groupIn;
  if (sent === 0) return unknown('group-in', 'not tried');
  const finding = `${answered} of ${sent} answers to the group arrived`;
  if (answered > 0) return ok('group-in', finding);
  const { group, port } = wanted;
  if (isLostOutside(path)) {
    const remedy = `look at the switches' ports and VLANs, and whether they carry ${group}`;
    return wrong('group-in', `${finding}: the network does not carry them here`, remedy);
  }
  const remedy = `let in UDP to ${group} port ${port} (nft list ruleset)`;
  return wrong('group-in', `${finding}, though they reach this machine`, remedy);
}

function mtuCheck({ mtu, unicast }: PathFacts): Check {
  if (mtu === null || unicast.answered === 0) return unknown('mtu', 'it takes unicast answers');
  const { wantedBytes, passedBytes } = mtu;
  if (passedBytes >= wantedBytes) return ok('mtu', `packets of ${wantedBytes} bytes arrive`);
  return wrong(
    'mtu',
    `the server's packets have ${wantedBytes} bytes; up to ${passedBytes} arrive`,
    `multiserver --mtu ${Math.max(576, passedBytes)}, or raise the MTU of the links between`,
  );
}

function lossCheck({ bursts, servers, groupIn }: PathFacts): Check {
  if (groupIn.answered === 0) return unknown('loss', 'multicast does not arrive at all');
  if (!servers.some(({ isDoctor }) => isDoctor)) {
    return unknown('loss', 'it takes multiserver --doctor on the other side');
  }
  if (bursts.length === 0) return unknown('loss', 'not tried');
  const text = bursts.map(
    ({ rateBitsPerSecond, isMost, sent, received }) =>
      `${percent(1 - received / sent)} at ${Math.round(rateBitsPerSecond / 1e6)} Mbit/s` +
      (isMost ? " (the server's most)" : ''),
  );
  const finding = `lost: ${text.join(', ')}`;
  const isLossy = bursts.some(
    ({ rateBitsPerSecond, sent, received }) =>
      rateBitsPerSecond <= SLOW_BITS_PER_SECOND && received < (1 - MUCH_LOSS_RATIO) * sent,
  );
  if (!isLossy) return ok('loss', finding);
  const remedy = 'look at cables, switch ports and duplex (ethtool -S INTERFACE counts errors)';
  return wrong('loss', finding, remedy);
}

const percent = (ratio: number): string => `${(100 * Math.max(0, ratio)).toFixed(0)} %`;
