/* graphc completion: what bash and zsh need to complete our command lines.  Commands come from the table; the options
 * of a command are asked of itself (`--help`) when they are wanted, so there is no second list of them. */
#include "cli.h"
#include <string.h>

static const struct { const char *name, *arguments, *what; } commands[] = {
#define COMMAND(name, arguments, what) {#name, arguments, what},
#include "commands.def"
#undef COMMAND
};
static const char words_of_runs[] =
#define WORD(name, arguments, what) #name " "
#include "runs.def"
#undef WORD
    "";
static const char monitors[] =
#define LEVELS(name) name "=off " name "=warn " name "=stop "
#define MONITOR(id, name, patience, what, advice) LEVELS(name)
#include "monitors.def"
#undef MONITOR
    LEVELS("alarms");
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const char bash_text[] =
    "_graphc() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
    "        COMPREPLY=($(compgen -W \"$_graphc_commands\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case $prev in\n"
    "    --run | --fork | --in) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
    "    --split) COMPREPLY=($(compgen -W 'train val test' -- \"$cur\")); return ;;\n"
    "    --cpu) COMPREPLY=($(compgen -W 'host haswell' -- \"$cur\")); return ;;\n"
    "    --sample) COMPREPLY=($(compgen -W 'auto' -- \"$cur\")); return ;;\n"
    "    --data-memory) return ;;\n"
    "    --monitor) COMPREPLY=($(compgen -W \"$_graphc_monitors\" -- \"$cur\")); return ;;\n"
    "    =)                            # bash parts words at it: --monitor dead = st\n"
    "        if [ \"${COMP_WORDS[COMP_CWORD-3]}\" = --monitor ]; then\n"
    "            COMPREPLY=($(compgen -W 'off warn stop' -- \"$cur\"))\n"
    "            return\n"
    "        fi ;;\n"
    "    esac\n"
    "    case $cur in\n"
    "    -*)\n"
    "        local options=$(graphc \"$command\" --help 2>/dev/null | grep -oE -- '--[a-z-]+')\n"
    "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
    "        return ;;\n"
    "    esac\n"
    "    case $command in\n"
    "    completion) COMPREPLY=($(compgen -W 'bash zsh' -- \"$cur\")) ;;\n"
    "    runs)\n"
    "        if [ \"$COMP_CWORD\" = 2 ]; then\n"
    "            COMPREPLY=($(compgen -W \"$_graphc_words\" -- \"$cur\"))\n"
    "        else\n"
    "            COMPREPLY=($(cd runs 2>/dev/null && compgen -d -- \"$cur\") $(compgen -d -- \"$cur\"))\n"
    "        fi ;;\n"
    "    rerun) COMPREPLY=($(compgen -f -X '!*.tar.gz' -- \"$cur\") $(compgen -d -- \"$cur\")) ;;\n"
    "    *) COMPREPLY=($(compgen -f -X '!*.graph' -- \"$cur\") $(compgen -d -- \"$cur\")) ;;\n"
    "    esac\n"
    "}\n"
    "complete -o filenames -F _graphc graphc\n";

static const char zsh_text[] =
    "_graphc() {\n"
    "    local prev=${words[CURRENT-1]} cur=${words[CURRENT]} command=${words[2]}\n"
    "    if (( CURRENT == 2 )); then\n"
    "        _describe command _graphc_commands\n"
    "        return\n"
    "    fi\n"
    "    case $prev in\n"
    "    --run|--fork|--in) _files -/; return ;;\n"
    "    --split) compadd train val test; return ;;\n"
    "    --cpu) compadd host haswell; return ;;\n"
    "    --sample) compadd auto; return ;;\n"
    "    --data-memory) return ;;\n"
    "    --monitor) compadd ${=_graphc_monitors}; return ;;\n"
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        compadd -- ${(f)\"$(graphc $command --help 2>/dev/null | grep -oE -- '--[a-z-]+')\"}\n"
    "        return\n"
    "    fi\n"
    "    case $command in\n"
    "    completion) compadd bash zsh ;;\n"
    "    runs)\n"
    "        if (( CURRENT == 3 )); then\n"
    "            compadd $_graphc_words\n"
    "        else\n"
    "            compadd -- runs/*(N/:t)\n"
    "            _files -/\n"
    "        fi ;;\n"
    "    rerun) _files -g '*.tar.gz' ;;\n"
    "    *) _files -g '*.graph' ;;\n"
    "    esac\n"
    "}\n"
    "(( $+functions[compdef] )) && compdef _graphc graphc\n";

static void print_bash(void) {
    fputs("# bash: eval \"$(graphc completion bash)\"\n_graphc_commands='", stdout);
    for (int i = 0; i < COMMAND_COUNT; i++) printf("%s%s", i ? " " : "", commands[i].name);
    printf("'\n_graphc_words='%s'\n_graphc_monitors='%s'\n%s", words_of_runs, monitors, bash_text);
}

/* In single quotes, where only a quote has to be taken care of; a colon parts the name from what it does. */
static void print_zsh(void) {
    fputs("# zsh, behind compinit: eval \"$(graphc completion zsh)\"\n_graphc_commands=(\n", stdout);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        printf("    '%s:", commands[i].name);
        for (const char *c = commands[i].what; *c; c++) fputs(*c == '\'' ? "'\\''" : (char[]){*c, 0}, stdout);
        puts("'");
    }
    printf(")\n_graphc_words=(%s)\n_graphc_monitors='%s'\n%s", words_of_runs, monitors, zsh_text);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    const char **shell = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (strcmp(arg, "bash") != 0 && strcmp(arg, "zsh") != 0) argp_error(state, "for bash and zsh, not `%s`", arg);
        *shell = arg;
        return 0;
    case ARGP_KEY_END:
        if (!*shell) argp_error(state, "for which shell: bash or zsh?");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .parser = parse,
    .args_doc = "bash|zsh",
    .doc = "Prints what a shell needs to complete our command lines; in its start file: "
           "eval \"$(graphc completion bash)\"."};

int cmd_completion(int argc, char **argv) {
    const char *shell = NULL;
    options_parse(&parser, argc, argv, &shell);
    if (strcmp(shell, "bash") == 0) print_bash();
    else print_zsh();
    return 0;
}
