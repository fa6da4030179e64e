/** What the fuzzer found, shortened. Each once broke a promise; none may ever again. */

export interface FuzzCase {
  target: 'decoders' | 'client' | 'server';
  /** What went wrong. */
  about: string;
  steps: string[];
}

export const FUZZ_CASES: readonly FuzzCase[] = [
  {
    target: 'client',
    about: 'a status with the longest request window must not silence it for a minute',
    steps: [
      'group 4d43010600480000112233445566778800000017000000000000fffe0300254affff000000000000fc6cba6c46953e197a9f7905a6e2b3f6e4a069bd0ef12c594fc5e6fd604c7413',
    ],
  },
];
