/* SPDX-License-Identifier: Apache-2.0 */
/* config_help - the options of a command, from the rows of config.def, for 80 columns. */
#include <stdio.h>

#include "config_option.h"

enum { COLUMNS = 80, INDENT = 26 };

/* The next piece of text to stand on one line: a word, or of a long list what fits. */
static size_t next_piece(const char *text)
{
    size_t word = strcspn(text, " "), n = word;
    while (n >= COLUMNS - INDENT) {
        const char *comma = memrchr(text, ',', n - 1);
        if (comma == NULL)
            return word;
        n = (size_t)(comma - text) + 1;
    }
    return n;
}

/* text, broken at blanks, every line but the first indented. */
static enum err put_wrapped(struct buf *out, const char *text)
{
    size_t column = INDENT;
    enum err e = ERR_OK;
    while (*text != '\0' && e == ERR_OK) {
        size_t word = next_piece(text);
        bool is_first = column == INDENT, fits = column + 1 + word < COLUMNS;
        if (is_first || fits)
            e = buf_printf(out, "%s%.*s", is_first ? "" : " ", (int)word, text);
        else
            e = buf_printf(out, "\n%*s%.*s", INDENT, "", (int)word, text);
        column = is_first || !fits ? INDENT + word : column + 1 + word;
        text += word + (text[word] == ' ');
    }
    return e;
}

static enum err put_option(const struct option_row *row, bool is_flag, struct buf *out)
{
    char left[64], extra[256] = "", text[768];
    snprintf(left, sizeof left, "  %s%s%s%s", is_flag ? "--" : "", row->name,
             row->value == NULL ? "" : " ", row->value == NULL ? "" : row->value);
    if (row->env != NULL)
        snprintf(extra, sizeof extra, " [%s%s%s]", row->env,
                 row->fallback == NULL ? "" : "; default ",
                 row->fallback == NULL ? "" : row->fallback);
    snprintf(text, sizeof text, "%s%s", row->help, extra);
    bool fits = strlen(left) + 2 <= INDENT;
    enum err e = fits ? buf_printf(out, "%-*s", INDENT, left)
                      : buf_printf(out, "%s\n%*s", left, INDENT, "");
    if (e == ERR_OK)
        e = put_wrapped(out, text);
    return e != ERR_OK ? e : buf_append_byte(out, '\n');
}

enum err config_help(enum config_command command, struct buf *out)
{
    enum err e = ERR_OK;
    for (enum option o = 0; o < OPTION_COUNT && e == ERR_OK; o++)
        if (option_table[o].commands & (unsigned)command)
            e = put_option(&option_table[o], true, out);
    if (e != ERR_OK || (command & (COMMAND_SERVE | COMMAND_RUN | COMMAND_CHECK)) == 0)
        return e;
    e = buf_printf(out, "\nNot flags, but variables and keys of the file:\n");
    for (enum option o = 0; o < OPTION_COUNT && e == ERR_OK; o++)
        if (option_table[o].commands == 0)
            e = put_option(&option_table[o], false, out);
    return e;
}
