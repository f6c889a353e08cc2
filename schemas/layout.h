/* The Redis side of the contract: key names, the Function library that is the only writer and reader of a city's state,
 * and the layout of what is stored. docs/redis-keys.md explains each key. */
#ifndef CITYTOTALS_SCHEMAS_LAYOUT_H
#define CITYTOTALS_SCHEMAS_LAYOUT_H

#include "base/settings.h"

#define REDIS_KEY_SIZE (CITY_SIZE_MOST + 64)
/* Writes "{<city>}:<suffix>"; returns `key`. */
char *redis_key(char key[REDIS_KEY_SIZE], const char *city, const char *suffix);

/* The Function library: its code (Lua), and its names, which end in a digest of the code, so that two builds can serve
 * side by side. Static. */
extern const char *const citytotals_library_name;
extern const char *const citytotals_library_code;
extern const char *const citytotals_function_open;     /* FCALL, see schemas/citytotals.lua */
extern const char *const citytotals_function_commit;   /* FCALL */
extern const char *const citytotals_function_skip;     /* FCALL */
extern const char *const citytotals_function_snapshot; /* FCALL_RO */
extern const char *const citytotals_function_proof;    /* FCALL_RO */
extern const char *const citytotals_function_drop;     /* FCALL */
extern const char *const citytotals_function_hold;     /* FCALL */
extern const char *const citytotals_function_swap;     /* FCALL */
extern const char *const citytotals_function_place;    /* FCALL */

#define REDIS_LAYOUT "1" /* of what is in these keys; `layout` of `meta` */

/* Keys that a rebuild folds into and a snapshot is loaded to, beside the live ones: "{<city>}:" GENERATION_REBUILD "<suffix>". */
#define GENERATION_LIVE    ""
#define GENERATION_REBUILD "rebuild:"
#define GENERATION_SIZE    16

/* One record of a seen lane: the identity, then the meaning digest, little-endian. */
#define SEEN_RECORD_SIZE 24
/* One record of `repeats`: the identity, then partition and offset, big-endian. */
#define REPEAT_RECORD_SIZE 32

#endif
