/** What a simulated world is made of and which faults befall it. Shares and ratios are 0 to 1. */

export interface SimOptions {
  seed: number;
  clients: number;
  imageChunks: number;
  chunkSizeBytes: number;
  blockSizeBytes: number;
  /** Share of the image's chunks that are zeros. */
  zeros: number;
  /** Share of them that no file system uses. */
  free: number;
  /** Ceiling of the server's rate in bit/s of UDP payload. */
  rate: number;
  /** Single packets lost, either way. */
  loss: number;
  /** Chance per packet that a burst of losses begins. */
  burst: number;
  /** Of each second, links carry nothing for so many ms, each at its own time. */
  outage: number;
  reorder: number;
  duplicate: number;
  /** Packets that come with some bits changed, either way. */
  damage: number;
  /** Share of clients that join while the pass is under way. */
  late: number;
  /** Share of clients that start before the server. */
  early: number;
  /** Crashes of clients, each followed by a start with nothing but the old disk. */
  crashes: number;
  serverRestarts: number;
  /** A server that starts again sends blocks of another size, as on another interface. */
  regrain: boolean;
  /** Share of clients with a slow disk, a slow link or a stuttering processor. */
  slow: number;
  /** Times that some clients are cut off for a while. */
  partitions: number;
  /** Hostile datagrams per second from strangers' addresses. */
  hostile: number;
  /** Some hostile datagrams bear the server's address. */
  spoof: boolean;
  /** How long the server takes to prepare the block map; 0 when it has it from the start. */
  prepareMs: number;
  /** Share of clients whose target reads as zeros at first; the others' is full of rubbish. */
  blank: number;
  /** Share of clients that look at what their target holds before they ask. */
  resume: number;
  /** Share of the chunks that they hold, of which a byte is another. */
  edits: number;
  /** Share of clients that read their copy back. */
  verify: number;
  /** The server compresses what it sends, sometimes more, sometimes less. */
  compress: boolean;
  /** Server and clients have a key. */
  sealed: boolean;
  /** The image is signed, and clients take no other. */
  signed: boolean;
  /** The server waits for slow clients. */
  wait: boolean;
  /** Faults end after this long; 0 for four passes' time. */
  faultMs: number;
  /** All must be done so long after the faults ended; 0 for a default. */
  healMs: number;
  /** The clients' quiet timeout. */
  timeoutMs: number;
  clientSlots: number;
  serverSlots: number;
}

export const CALM: SimOptions = {
  seed: 1,
  clients: 20,
  imageChunks: 128,
  chunkSizeBytes: 4096,
  blockSizeBytes: 256,
  zeros: 0,
  free: 0,
  rate: 16_000_000,
  loss: 0,
  burst: 0,
  outage: 0,
  reorder: 0,
  duplicate: 0,
  damage: 0,
  late: 0,
  early: 0,
  crashes: 0,
  serverRestarts: 0,
  regrain: false,
  slow: 0,
  partitions: 0,
  hostile: 0,
  spoof: false,
  prepareMs: 0,
  blank: 1,
  resume: 0,
  edits: 0,
  verify: 0,
  compress: false,
  sealed: false,
  signed: false,
  wait: false,
  faultMs: 0,
  healMs: 0,
  timeoutMs: 1000,
  clientSlots: 32,
  serverSlots: 48,
};

/** How long one pass takes at the ceiling rate, headers included, in ms. */
export function passMs(options: SimOptions): number {
  const { imageChunks, chunkSizeBytes, blockSizeBytes, rate } = options;
  const bytes = imageChunks * chunkSizeBytes * (1 + 28 / blockSizeBytes);
  return bytes / (rate / 8000);
}

/** The options that differ from a calm world's, as the command line has them. */
export function commandLine(options: SimOptions): string {
  const words = [`--seed ${options.seed}`, `--clients ${options.clients}`];
  for (const [name, value] of Object.entries(options)) {
    if (name === 'seed' || name === 'clients') continue;
    if (value === CALM[name as keyof SimOptions]) continue;
    words.push(value === true ? `--${optionName(name)}` : `--${optionName(name)} ${value}`);
  }
  return words.join(' ');
}

/** `serverRestarts` is `server-restarts` on the command line. */
export function optionName(name: string): string {
  return name.replace(/(Bytes|Ms)$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
