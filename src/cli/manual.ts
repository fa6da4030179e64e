/**
 * What a system keeps beside a program, made from the table of its options: the manual page, and
 * completion for shells. `npm run build` writes them to `dist/share`.
 */
import type { Command, Option } from 'commander';

/** Text of roff: what would begin a request or an escape is escaped. */
function roff(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

const valueName = (option: Option): string | null => /<(.*)>/.exec(option.flags)?.[1] ?? null;

/** `-g, --group GROUP`, the flags bold and the value's name in italics. */
function roffFlags(option: Option): string {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const bold = flags.map((flag) => `\\fB${roff(flag)}\\fR`).join(', ');
  const name = valueName(option);
  return name === null ? bold : `${bold} \\fI${roff(name)}\\fR`;
}

function describe(option: Option): string {
  const { description, defaultValue, negate } = option;
  const isTold = defaultValue === undefined || negate;
  return `${description}${isTold ? '' : ` (default ${String(defaultValue)})`}.`;
}

/** Options by the heading under which `--help` has them, help and version last. */
function groupsOf(command: Command): [string, Option[]][] {
  const groups = new Map<string, Option[]>();
  for (const option of command.createHelp().visibleOptions(command)) {
    const heading = option.helpGroupHeading ?? 'Output:';
    groups.set(heading, [...(groups.get(heading) ?? []), option]);
  }
  return [...groups];
}

/** Sections of the epilogue of `--help`: a line that ends in a colon, and lines set in from it. */
function sectionsOf(epilogue: string): [string, string[]][] {
  const sections: [string, string[]][] = [];
  for (const line of epilogue.split('\n')) {
    if (/^\S.*:$/.test(line)) sections.push([line.slice(0, -1), []]);
    else if (line !== '') sections.at(-1)?.[1].push(line);
  }
  return sections;
}

/**
 * A manual page of section 1, as man(7) has it.
 * @param epilogue what `--help` prints behind the options
 */
export function manualPage(command: Command, epilogue: string, version: string): string {
  const name = command.name();
  const [purpose] = command.description().split('. ');
  const lines = [
    `.TH ${name.toUpperCase()} 1 "" "multiserver ${version}" "User Commands"`,
    '.SH NAME',
    `${name} \\- ${roff(purpose!.charAt(0).toLowerCase() + purpose!.slice(1))}`,
    '.SH SYNOPSIS',
    `.B ${name}`,
    '.RI [ options ]',
    '.SH DESCRIPTION',
    roff(command.description()),
    '.SH OPTIONS',
  ];
  for (const [heading, options] of groupsOf(command)) {
    lines.push(`.SS ${heading.replace(/:$/, '')}`);
    for (const option of options) lines.push('.TP', roffFlags(option), roff(describe(option)));
  }
  for (const [heading, text] of sectionsOf(epilogue)) {
    lines.push(`.SH ${heading.toUpperCase()}`, '.nf', ...text.map(roff), '.fi');
  }
  const other = name === 'multiserver' ? 'multiclient' : 'multiserver';
  return `${[...lines, '.SH SEE ALSO', `.BR ${other} (1)`].join('\n')}\n`;
}

/** What a shell can offer for the value of an option. */
type ValueKind = 'file' | 'interface' | 'words' | 'none';

function kindOf(option: Option): ValueKind {
  const name = valueName(option) ?? '';
  if (/^(FILE|FILENAME|FOLDER)$/.test(name) || option.long === '--output') return 'file';
  if (option.long === '--interface') return 'interface';
  return option.argChoices === undefined ? 'none' : 'words';
}

const LIST_INTERFACES = 'command ls /sys/class/net';

export function bashCompletion(command: Command): string {
  const name = command.name();
  const options = command.createHelp().visibleOptions(command);
  const flags = options.flatMap(({ short, long }) => [short, long].filter((flag) => flag));
  const cases = options.flatMap((option) => {
    if (valueName(option) === null) return [];
    const pattern = [option.short, option.long].filter((flag) => flag).join('|');
    const reply = {
      file: 'COMPREPLY=($(compgen -f -- "$word"))',
      interface: `COMPREPLY=($(compgen -W "$(${LIST_INTERFACES})" -- "$word"))`,
      words: `COMPREPLY=($(compgen -W '${option.argChoices?.join(' ')}' -- "$word"))`,
      none: 'COMPREPLY=()',
    }[kindOf(option)];
    return [`    ${pattern}) ${reply}; return ;;`];
  });
  return `# bash completion for ${name}
_${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  case $before in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W '${flags.join(' ')}' -- "$word"))
}
complete -o filenames -F _${name} ${name}
`;
}

/** Text within single quotes of a shell. */
const quoted = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;

export function zshCompletion(command: Command): string {
  const lines = command
    .createHelp()
    .visibleOptions(command)
    .flatMap((option) => {
      const text = option.description.replace(/[[\]:\\]/g, '\\$&');
      const value = valueName(option);
      const action = {
        file: '_files',
        interface: `(\${(f)"$(${LIST_INTERFACES})"})`,
        words: `(${option.argChoices?.join(' ')})`,
        none: ' ',
      }[kindOf(option)];
      const argument = value === null ? '' : `:${value}:${action}`;
      const both = [option.short, option.long].filter((flag) => flag !== undefined);
      return both.map((flag) => `  ${quoted(`(${both.join(' ')})${flag}[${text}]${argument}`)}`);
    });
  return `#compdef ${command.name()}
_arguments -s \\
${lines.join(' \\\n')}
`;
}

export function fishCompletion(command: Command): string {
  const name = command.name();
  const lines = command
    .createHelp()
    .visibleOptions(command)
    .map((option) => {
      const parts = [`complete -c ${name}`];
      if (option.short !== undefined) parts.push(`-s ${option.short.slice(1)}`);
      if (option.long !== undefined) parts.push(`-l ${option.long.slice(2)}`);
      if (valueName(option) !== null) {
        parts.push(
          {
            file: '-r -F',
            interface: `-x -a '(${LIST_INTERFACES})'`,
            words: `-x -a ${quoted(option.argChoices?.join(' ') ?? '')}`,
            none: '-x',
          }[kindOf(option)],
        );
      }
      parts.push(`-d ${quoted(option.description)}`);
      return parts.join(' ');
    });
  return `complete -c ${name} -f\n${lines.join('\n')}\n`;
}
