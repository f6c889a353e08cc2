/* What a request's Accept headers want. Pure. */
#ifndef CITYTOTALS_QUERY_ACCEPT_H
#define CITYTOTALS_QUERY_ACCEPT_H

/* How much `name` (a media type, a coding) is wanted by the header, in thousandths; -1 when it is not named. NULL names nothing. */
int accept_wanted(const char *header, const char *name);
/* The same for a language, which stands for its regions too ("en" for "en-GB"): the highest of them; -1 also for 0. */
int accept_language_wanted(const char *header, const char *language);

#endif
