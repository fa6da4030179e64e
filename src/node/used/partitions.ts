/** The partitions of a disk (`sfdisk -J`), and what lies in a part of it (`blkid -p`). */

import { lastWords, read } from '../system/tool.js';
import { Unreadable } from './unreadable.js';

export interface Partition {
  /** As the table counts it; 0 for a source that is one file system as a whole. */
  number: number;
  offsetBytes: number;
  sizeBytes: number;
}

export interface Content {
  /** As `blkid` names it: `ext4`, `ntfs`, `vfat`, `swap`, `crypto_LUKS`. */
  type: string;
  /** `FAT32`; empty where it does not tell. */
  version: string;
  /** `filesystem`, `raid`, `crypto`, `other`. */
  usage: string;
}

/** Extended partitions of an MBR: boxes that hold others, and the tables that chain them. */
const BOXES = new Set(['5', 'f', '85']);
/** Type of the one partition of an MBR that hides a GPT. */
const GPT_PROTECTIVE = 'ee';
/** Other tables nest, or overlap on purpose. */
const LABELS = new Set(['gpt', 'dos']);

/** `blkid` found nothing that it knows. */
const NOTHING_FOUND = 2;
/** `blkid` found several things that exclude each other. */
const AMBIGUOUS = 8;

/**
 * @param path a block device
 * @returns none where there is no partition table
 * @throws Unreadable when there is one that cannot be taken at its word
 */
export async function partitionsOf(path: string, signal: AbortSignal): Promise<Partition[]> {
  const tool = { command: 'sfdisk', args: ['-J', path], debianPackage: 'fdisk' };
  const end = await read(tool, signal);
  if (end.status !== 0) {
    if (/does not contain a recognized partition table/.test(end.complaint)) return [];
    throw new Unreadable(`its partition table cannot be read: ${lastWords(end)}`);
  }
  return parsePartitions(end.text);
}

/** @throws Unreadable when that is not a table as `sfdisk` writes it */
export function parsePartitions(text: string): Partition[] {
  const table = (parsed(text) as { partitiontable?: Table } | null)?.partitiontable;
  if (table?.unit !== 'sectors' || !isCount(table.sectorsize)) {
    throw new Unreadable('its partition table cannot be understood');
  }
  const { label, sectorsize, partitions = [] } = table;
  if (partitions.length === 0) return [];
  if (!LABELS.has(label)) throw new Unreadable(`it has a partition table of the kind ${label}`);
  if (label === 'dos' && partitions.some(({ type }) => type === GPT_PROTECTIVE)) {
    throw new Unreadable('its GPT is damaged, or was made for other sectors');
  }
  return partitions
    .filter(({ type }) => label !== 'dos' || !BOXES.has(type))
    .map(({ node, start, size }) => {
      const number = Number(/(\d+)$/.exec(node)?.[1]);
      if (!isCount(start) || !isCount(size) || !isCount(number)) {
        throw new Unreadable('its partition table cannot be understood');
      }
      return { number, offsetBytes: start * sectorsize, sizeBytes: size * sectorsize };
    });
}

/** What `sfdisk -J` writes, as far as it matters here. */
interface Table {
  label: string;
  unit: string;
  sectorsize: number;
  partitions?: { node: string; start: number; size: number; type: string }[];
}

/**
 * What a part of a device holds.
 * @returns null where that is nothing known
 * @throws Unreadable when it looks like two things at once
 */
export async function contentOf(
  path: string,
  offsetBytes: number,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<Content | null> {
  const where = ['-O', `${offsetBytes}`, '-S', `${sizeBytes}`];
  const args = ['-p', '-o', 'export', ...where, path];
  const end = await read({ command: 'blkid', args, debianPackage: 'util-linux' }, signal);
  if (end.status === NOTHING_FOUND) return null;
  if (end.status === AMBIGUOUS) throw new Unreadable('it looks like several things at once');
  if (end.status !== 0) throw new Unreadable(`blkid fails on it: ${lastWords(end)}`);
  return parseContent(end.text);
}

/** @returns null when it names no type: a partition table alone, or nothing */
export function parseContent(text: string): Content | null {
  const value = (name: string): string =>
    new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]?.replace(/\\(.)/g, '$1') ?? '';
  const type = value('TYPE');
  return type === '' ? null : { type, version: value('VERSION'), usage: value('USAGE') };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0;
