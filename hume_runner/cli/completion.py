"""`hume-runner completion bash|zsh|fish`: a script that completes commands, flags and manifests.

The words come from `completions.json` beside this file, which `make docs` writes from the commands' own parsers: asking
all of those takes long, and a shell asks at its start. (shtab writes no fish, and wants one parser of everything.)
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.frozen import frozen

_SHELLS = ("bash", "zsh", "fish")
_WORDS = Path(__file__).with_name("completions.json")

# Command -> {"help", "flags": [{"names", "help", "takes", "choices"}], "words", "after", "files"}. `takes` is null for
# a flag that stands alone, else "file", "folder", "choice" or "value"; `after` is what may follow one of `words`;
# `files` is "manifest", "any" or null.
Words = Mapping[str, Any]


@frozen
class Script(Line):
    """A script for a shell."""

    event: ClassVar[str] = "completion"
    shell: str
    script: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=_SHELLS)


def run(args: argparse.Namespace, console: Console) -> int:
    text = script(args.shell, json.loads(_WORDS.read_text(encoding="utf-8")))
    if console.json:
        console.event(Script(shell=args.shell, script=text))
    else:
        console.out.write(text)
    return 0


def script(shell: str, words: Words) -> str:
    """The script for one shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words)


def gathered(
    parsers: Mapping[str, argparse.ArgumentParser],
    about: Mapping[str, str],
    after: Mapping[str, Mapping[str, Sequence[str]]],
) -> Words:
    """What the parsers say of themselves, for `completions.json`. `after`: command -> word -> what may follow it."""
    return {
        name: {
            "help": about[name],
            "flags": [_flag(action) for action in parser._actions if action.option_strings],
            "words": [
                str(choice)
                for action in parser._actions
                if not action.option_strings
                for choice in (action.choices or ())
            ],
            "after": {word: list(told) for word, told in after.get(name, {}).items()},
            "files": _files(action for action in parser._actions if not action.option_strings),
        }
        for name, parser in parsers.items()
    }


def _flag(action: argparse.Action) -> dict[str, Any]:
    takes = "value"
    if action.nargs == 0:
        takes = ""
    elif action.choices:
        takes = "choice"
    elif action.metavar in ("FILE", "DIR"):
        takes = {"FILE": "file", "DIR": "folder"}[str(action.metavar)]
    return {
        "names": list(action.option_strings),
        "help": re.split(r"[;:(]", action.help or "")[0].strip().replace("%%", "%").replace("'", ""),
        "takes": takes or None,
        "choices": [str(choice) for choice in action.choices or ()],
    }


def _files(positional: Iterable[argparse.Action]) -> str | None:
    names = [str(action.metavar or action.dest) for action in positional if not action.choices]
    if any(name in ("STATE", "PATH", "FILE", "A") for name in names):
        return "any"
    return "manifest" if any(name.startswith("MANIFEST") for name in names) else None


def _names(command: Mapping[str, Any], takes: str | None = None) -> list[str]:
    """The flags of a command (that take this)."""
    return [name for flag in command["flags"] if takes in (None, flag["takes"]) for name in flag["names"]]


def _choices(words: Words) -> Iterable[tuple[str, Sequence[str], Sequence[str]]]:
    for command, known in words.items():
        for flag in known["flags"]:
            if flag["takes"] == "choice":
                yield command, flag["names"], flag["choices"]


def _values(words: Words, opening: str, offer: Callable[[str], str]) -> list[str]:
    """The branches of a `case` over COMMAND:FLAG that complete what the flag takes. A shell opens a branch in its own
    way, and in its own way it offers words."""

    def branch(command: str, flags: Iterable[str], does: str) -> str:
        return f"        {opening}{'|'.join(f'{command}:{flag}' for flag in flags)}) {does}return ;;"

    values = []
    for name, command in words.items():
        for takes in ("file", "folder"):
            if flags := _names(command, takes):
                values.append(branch(name, flags, f"_hume_runner_files {takes}; "))
        if flags := _names(command, "value"):
            values.append(branch(name, flags, ""))
    for name, spelt, choices in _choices(words):
        values.append(branch(name, spelt, f"{offer(' '.join(choices))}; "))
    return values


# -- bash -------------------------------------------------------------------------------------------------------------

_BASH = """\
# Completes hume-runner. Into ~/.bashrc: eval "$(hume-runner completion bash)"
_hume_runner_files() {
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    case $1 in
        manifest)
            COMPREPLY+=($(compgen -f -X '!*.yaml' -- "$cur"; compgen -f -X '!*.yml' -- "$cur"; compgen -d -- "$cur"))
            ;;
        folder) COMPREPLY+=($(compgen -d -- "$cur")) ;;
        *) COMPREPLY+=($(compgen -f -- "$cur")) ;;
    esac
}
_hume_runner_said() {
    local word
    said=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " $1 " in *" $word "*) said=$word ;; esac
    done
}
_hume_runner() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= said= word i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            @COMMANDS@) command=$word; break ;;
            -*) ;;
            *) command=run; break ;;
        esac
    done
    case ${command:-run}:$prev in
@VALUES@
    esac
    if [[ $cur == -* ]]; then
        case ${command:-run} in
@FLAGS@
        esac
        return
    fi
    case $command in
        '') COMPREPLY=($(compgen -W '@WORDS@' -- "$cur")); _hume_runner_files manifest ;;
@POSITIONAL@
    esac
}
complete -F _hume_runner hume-runner
"""


def _bash(words: Words) -> str:
    values = _values(words, "", lambda choices: f"COMPREPLY=($(compgen -W '{choices}' -- \"$cur\"))")
    flags_of = [
        f"            {name}) COMPREPLY=($(compgen -W '{' '.join(_names(command))}' -- \"$cur\")) ;;"
        for name, command in words.items()
    ]
    positional = []
    for name, command in words.items():
        does = []
        if command["words"]:
            words_of = " ".join(command["words"])
            does.append(f"_hume_runner_said '{words_of}'")
            does.append(f"[[ $said ]] || COMPREPLY=($(compgen -W '{words_of}' -- \"$cur\"))")
        for word, told in command["after"].items():
            offer = f"compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W '{' '.join(told)}' -- \"$cur\")); return"
            does.append(f"if [[ $said == {word} ]]; then {offer}; fi")
        if command["files"]:
            does.append(f"_hume_runner_files {command['files']}")
        if does:
            positional.append(f"        {name}) {'; '.join(does)} ;;")
    return (
        _BASH.replace("@COMMANDS@", "|".join(words))
        .replace("@VALUES@", "\n".join(values))
        .replace("@FLAGS@", "\n".join(flags_of))
        .replace("@WORDS@", " ".join(words))
        .replace("@POSITIONAL@", "\n".join(positional))
    )


# -- zsh --------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef hume-runner
# Completes hume-runner. Into ~/.zshrc, after compinit: eval "$(hume-runner completion zsh)"
_hume_runner_files() {
    case $1 in
        manifest) _files -g '*.(yaml|yml)' ;;
        folder) _files -/ ;;
        *) _files ;;
    esac
}
_hume_runner_said() {
    local word
    said=
    for word in ${words[2,CURRENT-1]}; do
        case " $1 " in (*" $word "*) said=$word ;; esac
    done
}
_hume_runner() {
    local command said word
    local -a found
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=${words[i]}
        case $word in
            (@COMMANDS@) command=$word; break ;;
            (-*) ;;
            (*) command=run; break ;;
        esac
    done
    case ${command:-run}:${words[CURRENT-1]} in
@VALUES@
    esac
    if [[ ${words[CURRENT]} == -* ]]; then
        case ${command:-run} in
@FLAGS@
        esac
        _describe -o flag found
        return
    fi
    case $command in
        ('') found=(@WORDS@); _describe command found; _hume_runner_files manifest ;;
@POSITIONAL@
    esac
}
compdef _hume_runner hume-runner
"""


def _described(name: str, help: str) -> str:
    return shlex.quote(f"{name.replace(':', chr(92) + ':')}:{help}")


def _zsh(words: Words) -> str:
    values = _values(words, "(", "compadd -- {}".format)
    flags_of = [
        f"            ({name}) found=("
        + " ".join(_described(one, flag["help"]) for flag in command["flags"] for one in flag["names"])
        + ") ;;"
        for name, command in words.items()
    ]
    positional = []
    for name, command in words.items():
        does = []
        if command["words"]:
            words_of = " ".join(command["words"])
            does += [f"_hume_runner_said '{words_of}'", f"[[ -n $said ]] || compadd -- {words_of}"]
        for word, told in command["after"].items():
            does.append(f"if [[ $said == {word} ]]; then compadd -S '' -- {' '.join(told)}; return; fi")
        if command["files"]:
            does.append(f"_hume_runner_files {command['files']}")
        if does:
            positional.append(f"        ({name}) {'; '.join(does)} ;;")
    return (
        _ZSH.replace("@COMMANDS@", "|".join(words))
        .replace("@VALUES@", "\n".join(values))
        .replace("@FLAGS@", "\n".join(flags_of))
        .replace("@WORDS@", " ".join(_described(name, command["help"]) for name, command in words.items()))
        .replace("@POSITIONAL@", "\n".join(positional))
    )


# -- fish -------------------------------------------------------------------------------------------------------------

_FISH = """\
# Completes hume-runner. Into a file: hume-runner completion fish > ~/.config/fish/completions/hume-runner.fish
function __hume_runner_command
    for word in (commandline -opc)[2..-1]
        switch $word
            case @COMMANDS@
                echo $word
                return
            case '-*'
            case '*'
                echo run
                return
        end
    end
end
function __hume_runner_is
    set -l command (__hume_runner_command)
    test -z "$command"; and set command run
    contains -- $command $argv
end
function __hume_runner_said
    for word in (commandline -opc)[2..-1]
        contains -- $word $argv; and return 0
    end
    return 1
end
complete -c hume-runner -f
complete -c hume-runner -n 'not __hume_runner_command | string length -q' -a '(__fish_complete_suffix .yaml)'
"""


def _fish(words: Words) -> str:
    lines = [_FISH.replace("@COMMANDS@", " ".join(words)).rstrip()]
    for name, command in words.items():
        never = "-n 'not __hume_runner_command | string length -q'"
        lines.append(f"complete -c hume-runner {never} -a {name} -d {_fish_text(command['help'])}")
        when = f"-n '__hume_runner_is {name}'"
        for flag in command["flags"]:
            spelt = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag["names"])
            value = {
                None: "",
                "file": " -r -F",
                "folder": " -x -a '(__fish_complete_directories)'",
                "choice": f" -x -a '{' '.join(flag['choices'])}'",
                "value": " -x",
            }[flag["takes"]]
            lines.append(f"complete -c hume-runner {when} {spelt}{value} -d {_fish_text(flag['help'])}")
        there = f"-n '__hume_runner_command | string match -q {name}'"
        if command["words"]:
            words_of = " ".join(command["words"])
            new = f"{there[:-1]}; and not __hume_runner_said {words_of}'"
            lines.append(f"complete -c hume-runner {new} -a '{words_of}'")
        for word, told in command["after"].items():
            lines.append(f"complete -c hume-runner {there[:-1]}; and __hume_runner_said {word}' -a '{' '.join(told)}'")
        if command["files"] == "manifest":
            lines.append(f"complete -c hume-runner {there} -a '(__fish_complete_suffix .yaml)'")
        elif command["files"]:
            lines.append(f"complete -c hume-runner {there} -F")
    return "\n".join(lines) + "\n"


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
