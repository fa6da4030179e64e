/** What both command lines share: how options are declared, read, explained and refused. */
import { Command, CommanderError, Option } from 'commander';
import { ExitStatus, Failure } from '../failure.js';
import { NETWORK_DEFAULTS } from '../node/options.js';
import type { OutputMode } from '../ui/watcher.js';
import {
  BadValue,
  fileName,
  oneOf,
  readGroup,
  readMtu,
  readPort,
  someText,
  wholeNumber,
} from './values.js';
import { VERSION } from './version.js';

/** Headings of `--help`, in its order. */
export const Group = {
  original: 'Options:',
  network: 'Network:',
  start: 'Start:',
  behaviour: 'Behaviour:',
  netboot: 'Network boot:',
  output: 'Output:',
  debugging: 'Debugging:',
} as const;

/** A command line that was read: something to run, or a text to print and leave. */
export type Parsed<Options> =
  | { run: true; options: Options; output: OutputMode; doctor?: DoctorMode | null }
  | { run: false; text: string };

/** Look and tell what is wrong, instead of doing the work. */
interface DoctorMode {
  /** Clients are answered for so long. */
  stayMs: number;
}

export function usageFailure(sentence: string): Failure {
  return new Failure('usage', 'USAGE', sentence);
}

/**
 * An option with a value. It may be given once: of two, nobody could tell which is meant. `reader`
 * is one of values.ts; the value's name stands bare in the flags.
 */
export function valueOption<Value>(
  flags: string,
  description: string,
  reader: (text: string) => Value,
  defaultValue?: Value,
): Option {
  const names = namesOf(flags);
  const option = newOption(flags, description);
  let isGiven = false;
  option.argParser((text: string) => {
    if (isGiven) throw usageFailure(`${names} is given twice; give it once`);
    isGiven = true;
    return read(option, names, reader, text);
  });
  if (defaultValue !== undefined) option.default(defaultValue);
  return option;
}

/** As `valueOption`, to be given any number of times: the value is a list. */
export function listOption<Value>(
  flags: string,
  description: string,
  reader: (text: string) => Value,
): Option {
  const option = newOption(flags, description);
  return option.argParser((text: string, before: Value[] = []) => [
    ...before,
    read(option, namesOf(flags), reader, text),
  ]);
}

const namesOf = (flags: string): string => flags.replace(/ [^ -]\S*$/, '');

function newOption(flags: string, description: string): Option {
  return new Option(flags.replace(/ ([^ -]\S*)$/, ' <$1>'), description);
}

/** @throws Failure that names the option */
function read<Value>(
  option: Option,
  names: string,
  reader: (text: string) => Value,
  text: string,
): Value {
  try {
    return reader(text);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    const { envVar } = option;
    const isOfEnvironment = envVar !== undefined && process.env[envVar] === text;
    const source = isOfEnvironment ? `${names} (${envVar} in the environment)` : names;
    throw usageFailure(`${source}: ${error.message}`);
  }
}

/** An option whose value is one of a few words. */
export function wordOption<const Word extends string>(
  flags: string,
  description: string,
  words: readonly Word[],
  defaultValue?: Word,
): Option {
  const option = valueOption(flags, description, oneOf(words), defaultValue);
  option.argChoices = [...words];
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
  doctor?: boolean;
  key?: string;
  quiet?: boolean;
  json?: boolean;
}

/** What all machines of a lab have in common can be told once, in the environment. */
export const EnvironmentVariable = {
  group: 'MULTISERVER_GROUP',
  port: 'MULTISERVER_PORT',
  serverPort: 'MULTISERVER_SERVER_PORT',
  interface: 'MULTISERVER_INTERFACE',
} as const;

export const sharedOptions = {
  group: () =>
    valueOption('-g, --group GROUP', 'multicast group', readGroup, NETWORK_DEFAULTS.group).env(
      EnvironmentVariable.group,
    ),
  port: () =>
    valueOption('-p, --port PORT', 'UDP port of the group', readPort, NETWORK_DEFAULTS.port).env(
      EnvironmentVariable.port,
    ),
};

export function addNetworkOptions(command: Command, more: Option[] = []): void {
  addOptions(command, Group.network, [
    valueOption(
      '-i, --interface NAME',
      'network interface, by its name or one of its addresses (default: the system chooses)',
      someText('the name or the address of an interface'),
    ).env(EnvironmentVariable.interface),
    valueOption(
      '--ttl N',
      'routers that packets may cross, plus one',
      wholeNumber('a TTL', 1, 255),
      NETWORK_DEFAULTS.ttl,
    ),
    valueOption(
      '--mtu BYTES',
      "largest IP packet; auto takes the interface's",
      readMtu,
      NETWORK_DEFAULTS.mtu,
    ),
    switchOption('--no-offload', 'use plain sockets, without segmentation offload'),
    valueOption(
      '--key FILE',
      'seal all that travels with the key in this file, and take nothing else',
      fileName('the name of a key file'),
    ),
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

export const doctorOption = (): Option =>
  switchOption('--doctor', 'look for what is wrong, say what mends it, and leave');

/** @throws Failure of kind 'usage' */
export function outputMode(flags: SharedFlags): OutputMode {
  if (flags.json === true && flags.quiet === true) {
    throw usageFailure('--quiet and --json ask for opposite things; give one of the two');
  }
  if (flags.json === true) return 'json';
  return flags.quiet === true ? 'quiet' : 'text';
}

/** The environment that both programs look into, for the end of their help. */
export function environmentHelp(programName: string): string {
  const { group, port, serverPort, interface: name } = EnvironmentVariable;
  return `
Environment:
  ${group}, ${port},
  ${serverPort}, ${name}
      stand in for options of these names, which overrule them
  DEBUG=${programName}:*
      traces what it does on standard error
`;
}

/** The exit statuses of one program, for the end of its help. */
export function exitStatusHelp(rows: [keyof typeof ExitStatus, string][]): string {
  const lines = rows.map(([kind, text]) => `  ${String(ExitStatus[kind]).padStart(3)}  ${text}`);
  return `\nExit status:\n${lines.join('\n')}\n`;
}

const findOption = (command: Command, flag: string): Option | undefined =>
  command.options.find(({ short, long }) => short === flag || long === flag);

/** The flag of a word that was given, without a value that is tied to it. */
const flagOf = (word: string): string =>
  word.startsWith('--') ? word.replace(/=.*/s, '') : word.slice(0, 2);

/** Options that begin as a word does are meant rather than those that look like it. */
function likeBeginning(word: string, command: Command): string | undefined {
  const flag = flagOf(word);
  if (!/^--./.test(flag)) return undefined;
  const longs = [...command.options.map(({ long }) => long ?? ''), '--help'];
  const [first, ...more] = longs.filter((long) => long.startsWith(flag));
  return more.length === 0 ? first : `one of ${[first, ...more].join(', ')}`;
}

/** Why there is no such option, and where else one may be. */
function unknownOption(word: string, like: string | undefined, command: Command, other: Command) {
  const flag = flagOf(word);
  if (findOption(command, flag) !== undefined && flag.startsWith('--')) {
    return `${flag} takes no value; give it alone, or leave it out`;
  }
  const theirs = findOption(other, flag);
  const name = `'${theirs === undefined ? word : flag}'`;
  const where = `${name} is an option of ${other.name()}, not of ${command.name()}`;
  const sentence = theirs === undefined ? `there is no option ${name}` : where;
  return `${sentence}${like === undefined ? '' : `; did you mean ${like}?`}`;
}

/** Commander's complaint as one sentence of ours. */
function sentenceOf(error: CommanderError, command: Command, other: Command): string {
  const named = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  switch (error.code) {
    case 'commander.optionMissingArgument':
      return `${named.replace(/ <.*/, '')} needs a value: ${named.replace(/.*<(.*)>/, '$1')}`;
    case 'commander.unknownOption': {
      const like = /Did you mean (.*)\?/.exec(error.message)?.[1];
      return unknownOption(named, likeBeginning(named, command) ?? like, command, other);
    }
    default:
      return error.message.replace(/^error: /, '').replace(/\s+/g, ' ');
  }
}

/**
 * Reads a command line with `command`.
 * @param other makes the table of the other program, whose options are easily given to this one
 * @param hintForArgument says what to do about a word that belongs to no option
 * @returns the flags, or the text of `--help` or `--version`
 * @throws Failure of kind 'usage'
 */
export function readCommandLine<Flags extends object>(
  command: Command,
  other: () => Command,
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
    throw usageFailure(sentenceOf(error, command, other()));
  }
  const stray = command.args[0];
  if (stray !== undefined) {
    throw usageFailure(`'${stray}' belongs to no option; ${hintForArgument}`);
  }
  return { flags: command.opts<Flags>() };
}
