/* Quality values of Accept, Accept-Encoding and Accept-Language. Pure. */
#include "query/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The q of the element that `at` stands in; 1000 without. */
static int quality(const char *at)
{
    const char *end = strchr(at, ','), *q = strstr(at, "q=");
    return q && (!end || q < end) ? (int)(strtod(q + 2, NULL) * 1000) : 1000;
}

int accept_wanted(const char *header, const char *name)
{
    for (const char *at = header; at && *at; at = strchr(at, ',')) {
        at += strspn(at, ", \t");
        size_t size = strcspn(at, ",; \t");
        if (size == strlen(name) && strncasecmp(at, name, size) == 0)
            return quality(at);
    }
    return -1;
}

int accept_language_wanted(const char *header, const char *language)
{
    int most = -1;
    for (const char *at = header; at; at = strchr(at, ',')) {
        at += strspn(at, ", \t");
        if (strncasecmp(at, language, strlen(language)) == 0 && strchr("-;, \t", at[strlen(language)])) {
            int here = quality(at);
            most = here > most ? here : most;
        }
    }
    return most > 0 ? most : -1;
}
