/* Regular expressions: the first line of standard input is the pattern, each other line a text. For each text the journal has a line with
 * where the whole and each group matched, or "-". Exit code 1: a pattern that is none. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    char line[256], why[100];
    regex_t pattern;
    regmatch_t places[4];
    FILE *journal = fdopen(3, "w");
    fgets(line, sizeof line, stdin);
    line[strcspn(line, "\n")] = 0;
    int error = regcomp(&pattern, line, REG_EXTENDED);
    if (error != 0) {
        regerror(error, &pattern, why, sizeof why);
        fprintf(stderr, "%s: %s\n", line, why);
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (regexec(&pattern, line, 4, places, 0) == 0) {
            for (size_t i = 0; i <= pattern.re_nsub; i++) fprintf(journal, "%d:%d ", (int)places[i].rm_so, (int)places[i].rm_eo);
        } else {
            fputc('-', journal);
        }
        fputc('\n', journal);
    }
    regfree(&pattern);
    return 0;
}
