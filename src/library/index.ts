/**
 * The front door for programs: `import { serve, receive } from 'multiserver'`. Each starts a run,
 * whose events can be observed and whose end can be awaited. Nothing happens on import.
 */
import type { ClientEvent, ClientProgress } from '../client/events.js';
import {
  CLIENT_DEFAULTS,
  type ClientOptions,
  SERVER_DEFAULTS,
  type ServerOptions,
} from '../node/options.js';
import { runClient } from '../node/run-client.js';
import { runServer } from '../node/run-server.js';
import type { ImageSource } from '../node/source/image-source.js';
import type { ServerEvent, ServerProgress } from '../server/events.js';
import { Run } from './run.js';

export type { ClientEvent, ClientProgress, ImageSummary } from '../client/events.js';
export { Failure, type FailureKind } from '../failure.js';
export type { ClientOptions, NetworkOptions, ServerOptions } from '../node/options.js';
export type { ExtentFinder } from '../node/source/holes.js';
export type { ImageSource } from '../node/source/image-source.js';
export type { ServedClient, ServerEvent, ServerProgress, UsedPart } from '../server/events.js';
export type { Observer, Run } from './run.js';

/** What is not given is as in the programs: see the options in docs/MANUAL.md. */
export type ServeOptions = Partial<Omit<ServerOptions, 'prepareOnly' | 'newKey' | 'file'>> & {
  /** A file or a block device, or an image that this program has. */
  file: string | ImageSource;
  signal?: AbortSignal;
};

export interface ServeResult {
  /** Machines that hold a proven copy. */
  doneCount: number;
  elapsedMs: number;
  imageBytes: number;
  /** Sent to the group, headers included. */
  wireBytes: number;
  progress: ServerProgress;
}

export interface PrepareOptions {
  /** The image: a file or a block device. */
  file: string;
  /** Take a compressed image as it is, instead of what it contains. */
  asIs?: boolean;
  /** Leave out what no file system uses. */
  usedOnly?: boolean;
  /** Send whole what was not left in order. */
  force?: boolean;
  signal?: AbortSignal;
}

export interface PrepareResult {
  /** BLAKE3 of the block map's root in hex: it names the image. */
  mapId: string;
  /** A map that was kept beside the image still fits it. */
  fromCache: boolean;
  elapsedMs: number;
}

export type ReceiveOptions = Partial<ClientOptions> & { signal?: AbortSignal };

export interface ReceiveResult {
  /** BLAKE3 of the block map's root in hex: it names the image. Null after a dry run. */
  mapId: string | null;
  /** The file or device that was written or looked at. */
  target: string;
  elapsedMs: number;
  progress: ClientProgress | null;
}

/**
 * Serves an image until `exitAfter` machines hold proven copies, or the signal aborts.
 * @throws Failure from `done` or the iterator, never at once
 */
export function serve({ signal, file, ...options }: ServeOptions): Run<ServerEvent, ServeResult> {
  const [path, given] = typeof file === 'string' ? [file, null] : [file.name, file];
  const all = { ...SERVER_DEFAULTS, ownsProcess: false, ...options, file: path };
  // What has no place on a disk has none beside it either.
  if (given !== null) all.cache = false;
  return new Run(
    (observe, stop) => runServer(all, observe, stop, given),
    (event): ServeResult | undefined => {
      if (event.type !== 'ended') return undefined;
      const { doneCount, elapsedMs, imageBytes, wireBytes, progress } = event;
      return { doneCount, elapsedMs, imageBytes, wireBytes, progress };
    },
    signal,
  );
}

/**
 * Makes the block map of an image and keeps it beside it, as `multiserver --prepare` does.
 * @throws Failure from `done` or the iterator, never at once
 */
export function prepare({ signal, ...options }: PrepareOptions): Run<ServerEvent, PrepareResult> {
  const all = { ...SERVER_DEFAULTS, ...options, prepareOnly: true };
  return new Run(
    (observe, stop) => runServer(all, observe, stop),
    (event): PrepareResult | undefined => {
      if (event.type !== 'prepared') return undefined;
      const { mapId, fromCache, elapsedMs } = event;
      return { mapId, fromCache, elapsedMs };
    },
    signal,
  );
}

/**
 * Receives an image and proves it; resolves when the copy is proven, compared or, in a dry run,
 * planned.
 * @throws Failure from `done` or the iterator, never at once
 */
export function receive({
  signal,
  ...options
}: ReceiveOptions = {}): Run<ClientEvent, ReceiveResult> {
  const all = { ...CLIENT_DEFAULTS, ownsProcess: false, ...options };
  let target = '';
  return new Run(
    async (observe, stop) => {
      await runClient(all, observe, stop);
    },
    (event): ReceiveResult | undefined => {
      if (event.type === 'target') {
        target = event.path;
        return { mapId: null, target, elapsedMs: 0, progress: null };
      }
      if (event.type !== 'proven' && event.type !== 'checked') return undefined;
      const { mapId, elapsedMs, progress } = event;
      return { mapId, target, elapsedMs, progress };
    },
    signal,
  );
}
