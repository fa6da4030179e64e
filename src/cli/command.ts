/** What both command lines share: how options are declared, read, explained and refused. */
import { Command, CommanderError, Option } from 'commander';
import { ExitStatus, Failure } from '../failure.js';
import { DEFAULT_GROUP } from '../node/options.js';
import type { OutputMode } from '../ui/watcher.js';
import { BadValue, readGroup, readMtu, readPort, someText, wholeNumber } from './values.js';
import { VERSION } from './version.js';

/** Headings of `--help`, in its order. */
export const Group = {
  original: 'Options:',
  network: 'Network:',
  behaviour: 'Behaviour:',
  output: 'Output:',
  debugging: 'Debugging:',
} as const;

/** A command line that was read: something to run, or a text to print and leave. */
export type Parsed<Options> =
  | { run: true; options: Options; output: OutputMode }
  | { run: false; text: string };

export function usageFailure(sentence: string): Failure {
  return new Failure('usage', 'USAGE', sentence);
}

/** An option with a value. `reader` is one of values.ts; the value's name stands bare in the flags. */
export function valueOption<Value>(
  flags: string,
  description: string,
  reader: (text: string) => Value,
  defaultValue?: Value,
): Option {
  const names = flags.replace(/ [^ -]\S*$/, '');
  const option = new Option(flags.replace(/ ([^ -]\S*)$/, ' <$1>'), description);
  option.argParser((text: string) => {
    try {
      return reader(text);
    } catch (error) {
      if (error instanceof BadValue) throw usageFailure(`${names}: ${error.message}`);
      throw error;
    }
  });
  if (defaultValue !== undefined) option.default(defaultValue);
  return option;
}

export function switchOption(flags: string, description: string): Option {
  return new Option(flags, description);
}

export function addOptions(command: Command, heading: string, options: Option[]): void {
  command.optionsGroup(heading);
  for (const option of options) command.addOption(option);
}

/** A command that throws where commander would exit, and whose help fits this project. */
export function newCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .usage('[options]')
    .exitOverride()
    .allowExcessArguments(true)
    .configureHelp({
      helpWidth: Math.max(60, Math.min(process.stdout.columns || 80, 100)),
      optionTerm: (option) => option.flags.replace(/<(.*)>/, '$1'),
      optionDescription: (option) =>
        option.defaultValue === undefined || option.negate
          ? option.description
          : `${option.description} (default ${option.defaultValue})`,
    });
}

/** Values of the options that both programs have, as commander hands them over. */
export interface SharedFlags {
  group: string;
  port: number;
  interface?: string;
  ttl: number;
  mtu: number | 'auto';
  offload: boolean;
  quiet?: boolean;
  json?: boolean;
}

export const sharedOptions = {
  group: () => valueOption('-g, --group GROUP', 'multicast group', readGroup, DEFAULT_GROUP),
  port: () => valueOption('-p, --port PORT', 'UDP port of the group', readPort, 16000),
};

export function addNetworkOptions(command: Command, more: Option[] = []): void {
  addOptions(command, Group.network, [
    valueOption(
      '-i, --interface NAME',
      'network interface, by its name or one of its addresses (default: the system chooses)',
      someText('the name or the address of an interface'),
    ),
    valueOption(
      '--ttl N',
      'routers that packets may cross, plus one',
      wholeNumber('a TTL', 1, 255),
      1,
    ),
    valueOption(
      '--mtu BYTES',
      "largest IP packet; auto takes the interface's",
      readMtu,
      'auto' as number | 'auto',
    ),
    switchOption('--no-offload', 'use plain sockets, without segmentation offload'),
    ...more,
  ]);
}

export function addOutputOptions(command: Command): void {
  addOptions(command, Group.output, [
    switchOption('-q, --quiet', 'say nothing but errors'),
    switchOption('--json', 'print events on standard output, one JSON object a line'),
  ]);
  command.version(VERSION, '-V, --version', 'print the version');
  command.helpOption('-h, --help', 'print this help');
}

/** @throws Failure of kind 'usage' */
export function outputMode(flags: SharedFlags): OutputMode {
  if (flags.json === true && flags.quiet === true) {
    throw usageFailure('--quiet and --json ask for opposite things; give one of the two');
  }
  if (flags.json === true) return 'json';
  return flags.quiet === true ? 'quiet' : 'text';
}

/** The exit statuses of one program, for the end of its help. */
export function exitStatusHelp(rows: [keyof typeof ExitStatus, string][]): string {
  const lines = rows.map(([kind, text]) => `  ${String(ExitStatus[kind]).padStart(3)}  ${text}`);
  return `\nExit status:\n${lines.join('\n')}\n`;
}

/** Commander's complaint as one sentence of ours. */
function sentenceOf(error: CommanderError): string {
  const named = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  switch (error.code) {
    case 'commander.optionMissingArgument':
      return `${named.replace(/ <.*/, '')} needs a value: ${named.replace(/.*<(.*)>/, '$1')}`;
    case 'commander.unknownOption': {
      const like = /Did you mean (.*)\?/.exec(error.message)?.[1];
      return `there is no option '${named}'${like === undefined ? '' : `; did you mean ${like}?`}`;
    }
    default:
      return error.message.replace(/^error: /, '').replace(/\s+/g, ' ');
  }
}

/**
 * Reads a command line with `command`.
 * @param hintForArgument says what to do about a word that belongs to no option
 * @returns the flags, or the text of `--help` or `--version`
 * @throws Failure of kind 'usage'
 */
export function readCommandLine<Flags extends object>(
  command: Command,
  argv: readonly string[],
  hintForArgument: string,
): { flags: Flags } | { text: string } {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    writeErr: () => {},
  });
  try {
    command.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { text };
    throw usageFailure(sentenceOf(error));
  }
  const stray = command.args[0];
  if (stray !== undefined) {
    throw usageFailure(`'${stray}' belongs to no option; ${hintForArgument}`);
  }
  return { flags: command.opts<Flags>() };
}
