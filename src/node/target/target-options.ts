/** What is to be done with a target, as the command line and the server's description have it. */
export interface TargetOptions {
  /** What the operator named; undefined takes the image's name. */
  output: string | undefined;
  imageName: string;
  sizeBytes: number;
  /** What the image's partition table counts in; 0 when it tells none. */
  sectorSizeBytes: number;
  /** False: allocate the whole file first. */
  sparse: boolean;
  force: boolean;
  /** Use what the target holds already. Our own `.part` files are used without being asked. */
  resume: boolean;
  /** Compare only: nothing is written. */
  check: boolean;
}
