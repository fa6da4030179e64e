/** Which program has a UDP port. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const INODE_COLUMN = 9;

/** @returns its name and process id as text; null where the system does not tell */
export function holderOfPort(port: number): string | null {
  try {
    const inodes = new Set(['/proc/net/udp', '/proc/net/udp6'].flatMap((t) => inodesIn(t, port)));
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && holds(name, inodes));
    if (pid === undefined) return null;
    return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (process ${pid})`;
  } catch {
    return null;
  }
}

/** `/proc/net/udp`: the local address ends with the port in hex. */
function inodesIn(table: string, port: number): string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync(table, 'utf8').split('\n').slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((words) => words[1]?.endsWith(end))
    .map((words) => words[INODE_COLUMN]!);
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  if (pid === String(process.pid)) return false;
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    // It is another user's, or has just ended.
    return false;
  }
}
