/* Lines for the producer's tests: a good line of each type, with single fields changed, removed or added. */
#ifndef CITYTOTALS_TESTS_PRODUCER_LINES_H
#define CITYTOTALS_TESTS_PRODUCER_LINES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "producer/parser.h"

#define NOW_MS INT64_C(1605837600000) /* 2020-11-20T02:00:00Z */
#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})

struct member {
    const char *name, *value; /* the value as JSON */
};
static const struct member headcount_line[] = {
    {"type", "\"headcount-change\""}, {"id", "\"HB-17\""},        {"source", "\"hong-bang\""},
    {"agency", "\"hong-bang\""},      {"sector", "\"commune\""},  {"reason", "\"retired\""},
    {"delta", "-3"},                  {"effective_date", "\"2020-10-30\""}, {NULL, NULL}};
static const struct member merger_line[] = {
    {"type", "\"unit-merger\""}, {"id", "\"m-1\""},       {"source", "\"so-noi-vu\""}, {"agency", "\"so-noi-vu\""},
    {"category", "\"commune\""}, {"kind", "\"merger\""},  {"units_before", "3"},       {"units_after", "1"},
    {"effective_date", "\"2020-01-01\""}, {NULL, NULL}};
static const struct member visit_line[] = {
    {"type", "\"page-visit\""}, {"visitor", "\"00112233445566778899aabbccddeeff\""}, {NULL, NULL}};

/* The line with members changed: a NULL value removes one. Static memory, until the next call. */
static inline struct slice line_with(const struct member *line, const struct member *changes)
{
    static char text[64 * 1024];
    size_t at = 0;
    text[at++] = '{';
    for (const struct member *member = line; member->name; member++) {
        bool changed = false;
        for (const struct member *change = changes; change && change->name; change++)
            changed = changed || strcmp(change->name, member->name) == 0;
        if (!changed)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%s\":%s", at > 1 ? "," : "", member->name, member->value);
    }
    for (const struct member *change = changes; change && change->name; change++)
        if (change->value)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%s\":%s", at > 1 ? "," : "", change->name, change->value);
    text[at++] = '}';
    return (struct slice){text, at};
}
#define WITH(line, ...) line_with(line, (const struct member[]){__VA_ARGS__, {NULL, NULL}})

static struct parser *parser;
static struct problems problems;
static struct event event;
static struct parser_defaults defaults = {.csv_type = -1, .now_ms = NOW_MS};

static int make_parser(void **state)
{
    (void)state;
    return parser_new(&parser, NULL);
}

static int free_parser(void **state)
{
    (void)state;
    parser = parser_free(parser);
    return 0;
}

static inline void expect_good_at(struct slice line, int at)
{
    if (!parser_json(parser, line, &defaults, &event, &problems))
        fail_msg("line %d: refused: %s\n%.*s", at, problems.items[0].text, SLICE_ARG(line));
    assert_int_equal(problems.count, 0);
}
#define EXPECT_GOOD(line) expect_good_at(line, __LINE__)

/* Exactly one problem, of this field, its sentence with these words. */
static inline void expect_refused_at(struct slice line, const char *field, const char *words, int at)
{
    if (parser_json(parser, line, &defaults, &event, &problems))
        fail_msg("line %d: accepted: %.*s", at, SLICE_ARG(line));
    assert_true(problems.count > 0);
    if (problems.count > 1)
        fail_msg("line %d: also: %s, after: %s", at, problems.items[1].text, problems.items[0].text);
    if (strcmp(problems.items[0].field, field) != 0 || !strstr(problems.items[0].text, words))
        fail_msg("line %d: field %s: %s", at, problems.items[0].field, problems.items[0].text);
}
#define EXPECT_REFUSED(line, field, words) expect_refused_at(line, field, words, __LINE__)

#endif
