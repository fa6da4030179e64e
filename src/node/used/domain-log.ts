/**
 * Reads what `partclone.FS -D` says of a file system: a map in ddrescue's format, of which
 * partclone writes a part.
 *
 *     # Domain logfile created by …        comments
 *     0x04000000     ?                     where the file system ends
 *     #      pos        size  status
 *     0x00000000  0x01CC9400  +            in use
 *     0x01CC9400  0x00B37000  ?            unused
 *
 * Runs follow each other without gaps, from the beginning to the end that was told first. So a map
 * that is cut short, of something else or nonsense is known for what it is. Sources: the GNU
 * ddrescue manual, chapter "Mapfile structure"; partclone 0.3.23.
 */
import type { ByteRun } from '../../image/used-map.js';
import { Unreadable } from './unreadable.js';

const END = /^0x([0-9A-F]{8,16})\s+\?$/;
const RUN = /^0x([0-9A-F]{8,16}) {2}0x([0-9A-F]{8,16}) {2}([+?])$/;

export class DomainLog {
  readonly unused: ByteRun[] = [];
  private end = -1;
  private at = 0;

  /** @param sizeBytes of the partition: no map may reach beyond it */
  constructor(private readonly sizeBytes: number) {}

  /** @throws Unreadable when it is not what partclone writes */
  line(text: string): void {
    if (text.startsWith('#')) return;
    if (this.end < 0) this.takeEnd(text);
    else this.takeRun(text);
  }

  /** @throws Unreadable unless the map was whole */
  finish(): ByteRun[] {
    if (this.end < 0) throw new Unreadable('its map is empty');
    if (this.at !== this.end) throw new Unreadable('its map is cut short');
    return this.unused;
  }

  private takeEnd(text: string): void {
    const end = placeOf(END.exec(text)?.[1]);
    if (end === 0) throw new Unreadable('its map is of nothing');
    if (end > this.sizeBytes) throw new Unreadable('its map reaches beyond the partition');
    this.end = end;
  }

  private takeRun(text: string): void {
    const [, from, length, status] = RUN.exec(text) ?? [];
    const start = placeOf(from);
    const end = start + placeOf(length);
    if (start !== this.at || end <= start) throw new Unreadable('its map has gaps or overlaps');
    if (end > this.end) throw new Unreadable('its map reaches beyond its own end');
    if (status === '?') {
      // Whatever kind it is, it begins with what tells so.
      if (start === 0) throw new Unreadable('its map holds its very beginning to be unused');
      this.unused.push({ start, end });
    }
    this.at = end;
  }
}

function placeOf(digits: string | undefined): number {
  const place = digits === undefined ? Number.NaN : Number.parseInt(digits, 16);
  if (!Number.isSafeInteger(place)) throw new Unreadable('its map cannot be understood');
  return place;
}
