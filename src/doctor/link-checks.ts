/** Checks of the interface, its addresses and routes, and the ports: what all else stands on. */
import { type Check, ok, unknown, wrong } from './check.js';
import { type Facts, isKnown } from './facts.js';

const NO_INTERFACE = 'there is no interface to look at';

export function linkChecks(facts: Facts): Check[] {
  return [
    interfaceCheck(facts),
    carrierCheck(facts),
    duplexCheck(facts),
    addressCheck(facts),
    routeCheck(facts),
    portCheck(facts),
  ];
}

/** The options that name the interface in its place. */
const nameIt = (names: readonly string[]): string =>
  names.length > 0 ? `name the interface: -i ${names.join(' or -i ')}` : 'look at `ip address`';

/** A named server answers by another interface, and nothing for the group comes by this one. */
function leadsElsewhere({ wanted, link, routes, path, reversePath }: Facts): boolean {
  if (!isKnown(link) || path === null || wanted.serverHost === null) return false;
  const { sent, answered } = path.groupIn;
  const isElsewhere = routes.toServer !== null && routes.toServer !== link.name;
  return isElsewhere && sent > 0 && answered === 0 && reversePath?.level !== 1;
}

function interfaceCheck(facts: Facts): Check {
  const { wanted, link, candidates, path, routes } = facts;
  if (!isKnown(link)) {
    if (wanted.interface === undefined) return unknown('interface', link.why);
    return wrong('interface', link.why, nameIt(candidates));
  }
  const { name } = link;
  if (path?.elsewhere != null) {
    const { interface: other, address } = path.elsewhere;
    return wrong(
      'interface',
      `no server answers on ${name}, but one does on ${other} (${address})`,
      `name the interface: -i ${other}`,
    );
  }
  if (path !== null && leadsElsewhere(facts)) {
    const other = routes.toServer!;
    return wrong(
      'interface',
      `the server ${wanted.serverHost} is reached by ${other}, and its multicast not by ${name}`,
      `name the interface: -i ${other}`,
    );
  }
  if (!link.isUp) return wrong('interface', `${name} is down`, `ip link set ${name} up`);
  const choice = wanted.interface === undefined ? "the system's choice" : 'as named';
  return ok('interface', `${name}, ${choice}`);
}

function carrierCheck({ link }: Facts): Check {
  if (!isKnown(link)) return unknown('carrier', NO_INTERFACE);
  if (!link.isUp) return unknown('carrier', `${link.name} is down`);
  if (link.hasCarrier === null) return unknown('carrier', 'the system does not tell');
  if (link.hasCarrier) return ok('carrier', `${link.name} has a carrier`);
  return wrong('carrier', `${link.name} has no carrier`, 'look at its cable and the switch');
}

function duplexCheck({ link }: Facts): Check {
  if (!isKnown(link)) return unknown('duplex', NO_INTERFACE);
  const { name, speedMegabits, duplex, isCard } = link;
  if (!isCard) return unknown('duplex', `${name} is virtual: it has neither`);
  const speed = speedMegabits === null ? 'of unknown speed' : `${speedMegabits} Mbit/s`;
  if (duplex === 'half') {
    const remedy = `ethtool -s ${name} autoneg on, and the same on the switch's port`;
    return wrong('duplex', `${name} is at ${speed}, half duplex: it cannot send and hear`, remedy);
  }
  if (speedMegabits !== null && speedMegabits < 100) {
    return wrong('duplex', `${name} is at ${speed}`, `another cable; then ethtool ${name}`);
  }
  if (duplex === null && speedMegabits === null) {
    return unknown('duplex', `${name} does not tell (wireless?)`);
  }
  return ok('duplex', `${name}: ${speed}, ${duplex ?? 'unknown'} duplex, MTU ${link.mtuBytes}`);
}

function addressCheck({ link, wanted }: Facts): Check {
  if (!isKnown(link)) return unknown('address', NO_INTERFACE);
  const family = wanted.group.includes(':') ? 'IPv6' : 'IPv4';
  const { name, addresses, isUp, hasCarrier } = link;
  // The system tells addresses of none that is connected to nothing.
  if (!isUp || hasCarrier === false) return unknown('address', `${name} is not connected`);
  if (addresses.length > 0) return ok('address', addresses.join(', '));
  const remedy = `ip address add ADDRESS/24 brd + dev ${name}, or start its DHCP client`;
  return wrong('address', `${name} has no ${family} address`, remedy);
}

function routeCheck({ wanted, link, routes, candidates }: Facts): Check {
  const { group, serverHost } = wanted;
  const isV6 = group.includes(':');
  if (wanted.interface === undefined && routes.toGroup === null) {
    const [first = 'INTERFACE'] = candidates;
    const command = isV6
      ? `ip -6 route add ff00::/8 dev ${first} table local`
      : `ip route add 224.0.0.0/4 dev ${first}`;
    return wrong('route', `no route leads to ${group}`, `${command}, or ${nameIt(candidates)}`);
  }
  // The way to a name, or to an IPv6 address, is not looked up.
  const isLookedUp = serverHost !== null && /^\d+(\.\d+){3}$/.test(serverHost);
  if (isLookedUp && routes.toServer === null) {
    const remedy = 'ip route add default via GATEWAY, or a better address for -s';
    return wrong('route', `no route leads to the server ${serverHost}`, remedy);
  }
  const name = isKnown(link) ? link.name : 'the interface';
  const way = wanted.interface === undefined ? `${group} leaves by ${name}` : `${name} is named`;
  const toServer = routes.toServer === null ? '' : `; the server is reached by ${routes.toServer}`;
  return ok('route', `${way}${toServer}`);
}

function portCheck({ port, wanted }: Facts): Check {
  const { taken, holder, option } = port;
  if (taken !== null) {
    const by = holder === null ? 'another program' : holder;
    const remedy =
      `if that is a multiserver at work, ask multiclient --doctor instead; else end that program ` +
      `(ss -ulpn 'sport = ${taken}'), or choose another with ${option}`;
    return wrong('port', `UDP port ${taken} is taken by ${by}`, remedy);
  }
  const own = wanted.role === 'server' ? wanted.serverPort : wanted.port;
  return ok('port', `UDP port ${own} is free`);
}
