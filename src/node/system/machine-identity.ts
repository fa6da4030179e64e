/**
 * What a machine says of itself, so that its operator knows it: from /sys, as far as it is told.
 */

import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ClientIdentity } from '../../protocol/identity.js';
import { BlockDevice, SYSTEM, type SystemFiles } from '../target/block-device.js';
import { deviceNumber } from './device-number.js';

/** What makers leave in the fields that they should have filled. */
const FILLERS = new RegExp(
  [
    '^(to be filled.*|default string|system (serial number|product name|manufacturer)|none',
    'n/a|not (specified|applicable)|unknown|0+|0123456789|x+)$',
  ].join('|'),
  'i',
);
const MEGABIT = 1e6;
/** What drivers give for a speed that is not known: -1, as they write it. */
const UNKNOWN_SPEED = 0xffff_ffff;

interface IdentityOptions {
  /** The target as the operator named it. */
  output: string | undefined;
  /** Name of the interface that the image comes by. */
  interfaceName: string;
  label: string | undefined;
  /** Of this program. */
  version: string | undefined;
}

/** @param files where the system's files are */
export function identityOf(options: IdentityOptions, files: SystemFiles = SYSTEM): ClientIdentity {
  const { output, interfaceName, label, version } = options;
  const read = (...parts: string[]) => readText(join(files.root, 'sys', ...parts));
  const dmi = (name: string) => withoutFiller(read('class/dmi/id', name));
  const link = (name: string) => read('class/net', interfaceName, name);
  const disk = diskOf(output, files);
  return present({
    mac: macOf(link('address')),
    product: productOf(dmi('sys_vendor'), dmi('product_name')),
    serial: dmi('product_serial') ?? dmi('board_serial'),
    diskModel: disk?.model ?? undefined,
    diskSerial: disk?.serial ?? undefined,
    diskBytes: disk?.diskBytes ?? undefined,
    version,
    linkBitsPerSecond: speedOf(link('speed')),
    isFullDuplex: duplexOf(link('duplex')),
    label,
  });
}

/** The fields that are known. */
function present(fields: { [Name in keyof ClientIdentity]: ClientIdentity[Name] | undefined }) {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
  return Object.fromEntries(known) as ClientIdentity;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function withoutFiller(text: string | undefined): string | undefined {
  return text === undefined || text === '' || FILLERS.test(text) ? undefined : text;
}

/** 'Dell Inc. OptiPlex 7090'; the maker's name once, where the model repeats it. */
function productOf(vendor: string | undefined, model: string | undefined): string | undefined {
  if (vendor === undefined || model?.startsWith(vendor)) return model;
  return model === undefined ? vendor : `${vendor} ${model}`;
}

function macOf(text: string | undefined): string | undefined {
  const isMac = text !== undefined && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);
  return isMac && text !== '00:00:00:00:00:00' ? text : undefined;
}

function speedOf(text: string | undefined): number | undefined {
  const megabits = Number(text);
  return megabits > 0 && megabits < UNKNOWN_SPEED ? megabits * MEGABIT : undefined;
}

function duplexOf(text: string | undefined): boolean | undefined {
  return text === 'full' || text === 'half' ? text === 'full' : undefined;
}

/** The disk that the target is, or lies on. */
function diskOf(output: string | undefined, files: SystemFiles): BlockDevice | null {
  const path = output ?? '.';
  const number = files.deviceOf(path) ?? deviceBelow(path) ?? deviceBelow(dirname(path));
  return number === null ? null : new BlockDevice(number, files);
}

/** Number of the device that holds the file; null where the file system has none. */
function deviceBelow(path: string): string | null {
  try {
    const number = deviceNumber(statSync(path, { bigint: true }).dev);
    return number.startsWith('0:') ? null : number;
  } catch {
    return null;
  }
}
