/**
 * Readers of option values. Each takes the text from the command line and returns the value, or
 * throws BadValue with a clause that says what is wrong and what would be right.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { MAX_LABEL_BYTES } from '../node/options.js';
import { readTime } from '../trust/statement.js';

/** The text of an option cannot be read as what the option wants. A usage error. */
export class BadValue extends Error {
  override readonly name = 'BadValue';
}

/** A reader of whole numbers. `what` is a noun with its article: 'a port'. */
export function wholeNumber(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new BadValue(`'${text}' is not ${what}; give a whole number from ${min} to ${max}`);
  };
}

export const readPort = wholeNumber('a port', 1, 65535);

/** Text that must not be empty. `what` is a noun with its article. */
export function someText(what: string): (text: string) => string {
  return (text) => {
    if (text !== '') return text;
    throw new BadValue(`the value is empty; give ${what}`);
  };
}

/** What a machine is called. A name that travelled in part only would be known to nobody. */
export function readLabel(text: string): string {
  const bytes = Buffer.byteLength(someText('a name')(text));
  if (bytes <= MAX_LABEL_BYTES) return text;
  throw new BadValue(
    `'${text}' has ${bytes} bytes (UTF-8); give a name of at most ${MAX_LABEL_BYTES} bytes`,
  );
}

/** A file or device name. `-` is refused: chunks are read and written in any order. */
export function fileName(what: string): (text: string) => string {
  const read = someText(what);
  return (text) => {
    // Node has put this character in the place of bytes that are not UTF-8: the name is lost.
    if (text.includes('\ufffd')) {
      throw new BadValue(
        `'${text}' has bytes that are not UTF-8, and cannot be named here; give ${what} by ` +
          `another name, such as a link`,
      );
    }
    if (text !== '-') return read(text);
    throw new BadValue(
      `'-' does not stand for a pipe here, as an image is not handled from front to back; ` +
        `give ${what}`,
    );
  };
}

/** A file that is kept as CSV or as lines of JSON, by its name. */
export function readReportName(text: string): string {
  if (/[^/]\.(csv|jsonl)$/.test(text)) return text;
  throw new BadValue(`'${text}' tells no form; give a name that ends in .csv or .jsonl`);
}

/** One word of a fixed few. */
export function oneOf<const Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new BadValue(`'${text}' is not known; give ${words.join(' or ')}`);
  };
}

function isMulticast(address: string): boolean {
  if (isIPv4(address)) return /^(22[4-9]|23\d)\./.test(address);
  return /^ff[0-9a-f]{2}:/i.test(address);
}

/** A multicast address: 224.0.0.0/4 or ff00::/8. */
export function readGroup(text: string): string {
  const percent = text.indexOf('%');
  if (percent >= 0 && isIPv6(text)) {
    throw new BadValue(`give '${text.slice(0, percent)}' alone, and name the interface with -i`);
  }
  if (isIP(text) !== 0 && isMulticast(text)) return text;
  const trouble = isIP(text) === 0 ? 'is not an IP address' : 'is not a multicast address';
  throw new BadValue(
    `'${text}' ${trouble}; give one from 224.0.0.0 to 239.255.255.255, or an IPv6 one that ` +
      `begins with ff`,
  );
}

/** FIRST,LAST: two IPv4 addresses, the second not below the first. */
export function readAddressRange(text: string): readonly [string, string] {
  const [first = '', last = '', ...more] = text.split(',');
  const places = [first, last].map((address) => address.split('.').map(Number));
  const order = places[0]!.map((part, index) => part - (places[1]![index] ?? 0));
  const isRising = (order.find((difference) => difference !== 0) ?? 0) <= 0;
  if (isIPv4(first) && isIPv4(last) && more.length === 0 && isRising) return [first, last];
  throw new BadValue(
    `'${text}' is no range of addresses; give the first and the last: 10.0.0.100,10.0.0.199`,
  );
}

/**
 * Words for a kernel's command line: what boot loaders would take for something else is refused.
 */
export function readKernelWords(text: string): string {
  const isPaired = text.split('"').length % 2 === 1;
  if (isPaired && /^[\w .,:/=@%+"-]+$/.test(text)) return text.trim();
  throw new BadValue(
    `'${text}' cannot be put on a kernel's command line; give words such as multiclient.verify, ` +
      'with double quotes around values that have spaces',
  );
}

export interface ServerAddress {
  /** Undefined: find the server by multicast. */
  host: string | undefined;
  /** Undefined: the default. */
  port: number | undefined;
}

const ADDRESS_FORMS = 'give PORT, HOST, HOST:PORT or [IPV6]:PORT';

/** Labels of letters, digits, hyphens and underscores; the last one not all digits. */
function isHostName(text: string): boolean {
  if (text.length > 253 || !/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i.test(text)) return false;
  return !/(^|\.)\d+\.?$/.test(text);
}

/** Of an IPv6 address that ends like a port, nobody can tell which is meant. */
function refuseAmbiguousPort(text: string): void {
  const parts = /^(.*):(\d{4,5})$/.exec(text);
  if (parts === null || !isIPv6(parts[1]!)) return;
  throw new BadValue(
    `'${text}' may end in a port or not; write [${parts[1]}]:${parts[2]} for port ${parts[2]}, ` +
      `or [${text}]`,
  );
}

/** PORT, HOST, HOST:PORT, [IPV6]:PORT, and a bare IPv6 address, which can hold no port. */
export function readServerAddress(text: string): ServerAddress {
  if (/^\d+$/.test(text)) return { host: undefined, port: readPort(text) };
  refuseAmbiguousPort(text);
  if (isIPv6(text)) return { host: text, port: undefined };
  const parts = /^(?:\[(?<v6>[^\]]*)\]|(?<name>[^:[\]]*))(?::(?<port>.*))?$/.exec(text)?.groups;
  const host = parts?.v6 ?? parts?.name ?? '';
  if (parts?.port === '') {
    throw new BadValue(`'${text}' ends where a port should come; give '${host}', or add a port`);
  }
  if (parts === undefined || host === '') {
    throw new BadValue(`'${text}' is not an address; ${ADDRESS_FORMS}`);
  }
  const fits = parts.v6 === undefined ? isIPv4(host) || isHostName(host) : isIPv6(host);
  if (!fits) {
    throw new BadValue(`'${host}' is neither a host name nor an IP address; ${ADDRESS_FORMS}`);
  }
  if (isMulticast(host)) {
    throw new BadValue(`'${host}' is a multicast group; name one host here, and the group with -g`);
  }
  return { host, port: parts.port === undefined ? undefined : readPort(parts.port) };
}

/** PORT, HOST:PORT or [IPV6]:PORT; port 0 stands for any that is free. */
export function readWebPlace(text: string): { host: string | undefined; port: number } {
  const readAnyPort = wholeNumber('a port', 0, 65535);
  if (/^\d+$/.test(text)) return { host: undefined, port: readAnyPort(text) };
  const at = text.lastIndexOf(':');
  const host = text.slice(0, Math.max(0, at));
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  const fits = host === bare ? isIPv4(host) || isHostName(host) : isIPv6(bare);
  if (fits) return { host: bare, port: readAnyPort(text.slice(at + 1)) };
  throw new BadValue(`'${text}' is not a place for a page; give PORT, HOST:PORT or [IPV6]:PORT`);
}

/** A map id in hex, or how it begins: less than 64 bits somebody could make an image for. */
export function readMapId(text: string): string {
  if (/^[0-9a-f]{16,64}$/i.test(text)) return text.toLowerCase();
  throw new BadValue(
    `'${text}' is no map id; give 16 to 64 hexadecimal digits, as multiserver prints them`,
  );
}

/** A time as statements have it, or a date. */
export function readStatementTime(text: string): string {
  const time = readTime(text);
  if (time !== null) return time;
  throw new BadValue(`'${text}' is no time; give 2026-11-29, or 2026-11-29T12:34:56Z (UTC)`);
}

/** 'auto', 'off', or a level of zstd. */
export function readCompression(text: string): 'auto' | 'off' | number {
  if (text === 'auto' || text === 'off') return text;
  const level = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (level >= 1 && level <= 19) return level;
  throw new BadValue(`'${text}' is no compression; give auto, off, or a level from 1 to 19`);
}

const RATE_FACTORS: Record<string, number> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };
const MIN_RATE = 1e3;
const MAX_RATE = 1e12;

/** Bits per second, with k, M or G: 500k, 900M, 2.5G. */
export function readRate(text: string): number {
  const milli = /^(\d+(?:\.\d+)?)m$/.exec(text);
  if (milli !== null) {
    throw new BadValue(`'${text}' is not a rate; write a large M for megabits: ${milli[1]}M`);
  }
  const parts = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  const factor = RATE_FACTORS[parts?.[2]?.toLowerCase() ?? ''];
  if (parts === null || factor === undefined) {
    throw new BadValue(
      `'${text}' is not a rate; give bits per second, with k, M or G if you like: 500k, 900M, 2.5G`,
    );
  }
  const rate = Math.round(Number(parts[1]) * factor);
  if (rate >= MIN_RATE && rate <= MAX_RATE) return rate;
  throw new BadValue(
    `${rate} bits per second is out of range; give 1k to 1000G, and mind the letter (900M, ` +
      `not 900)`,
  );
}

/** Bytes of an IP packet, or 'auto'. 576 is the least that IPv4 promises. */
export function readMtu(text: string): number | 'auto' {
  if (text === 'auto') return 'auto';
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 576 && value <= 65535) return value;
  throw new BadValue(`'${text}' is not an MTU; give auto, or bytes from 576 to 65535`);
}

const TIME_OF_DAY = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/;

/**
 * A time to come: HH:MM or HH:MM:SS, the next time that this machine's clock shows it; or a date
 * with a time, as in ISO 8601. To milliseconds since 1970.
 */
export function readTimeToCome(text: string, from = new Date()): number {
  const parts = TIME_OF_DAY.exec(text);
  if (parts !== null) {
    const [hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
    if (hours! < 24 && minutes! < 60 && seconds! < 60) {
      const time = new Date(from);
      time.setHours(hours!, minutes!, seconds!, 0);
      if (time <= from) time.setDate(time.getDate() + 1);
      return time.getTime();
    }
  }
  // Date.parse makes the second of March of the thirtieth of February.
  const isDated = /^\d{4}-\d{2}-\d{2}[T ]\d/.test(text) && readTime(text.slice(0, 10)) !== null;
  const sinceEpochMs = isDated ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(sinceEpochMs)) {
    throw new BadValue(`'${text}' is not a time; give 18:30, 18:30:05 or 2030-01-31T18:30`);
  }
  if (sinceEpochMs > from.getTime()) return sinceEpochMs;
  throw new BadValue(`${text} is over; give a time to come`);
}

/** Seconds, with a fraction if need be, to whole milliseconds. */
export function readSecondsAsMs(text: string): number {
  const ms = /^\d{1,9}(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1000) : Number.NaN;
  if (ms >= 1 && ms <= 1e9) return ms;
  throw new BadValue(`'${text}' is not a time; give seconds from 0.001 to 1000000`);
}
