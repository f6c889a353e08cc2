/* The parser: bounds and encoding first, then the form, then the event. */
#include "producer/parser.h"

#include <stdlib.h>

#include "producer/json_line.h"
#include "producer/parser_internal.h"

int parser_new(struct parser **ret_parser, struct error *error)
{
    struct parser *parser = calloc(1, sizeof *parser);
    if (!parser)
        return error_set(error, ERROR_MEMORY, "out of memory");
    parser->fields.units = &parser->units;
    *ret_parser = parser;
    return 0;
}

struct parser *parser_free(struct parser *parser)
{
    free(parser);
    return NULL;
}

static bool begin(struct parser *parser, struct slice line, struct problems *problems)
{
    problems->count = 0;
    arena_reset(&parser->arena);
    if (line.size > LINE_MOST)
        problem_add(problems, "", 0, "it has %zu bytes; allowed: at most %d", line.size, LINE_MOST);
    else if (!text_is_utf8(line))
        problem_add(problems, "", 0, "it is not UTF-8");
    return problems->count == 0;
}

bool parser_json(struct parser *parser, struct slice line, const struct parser_defaults *defaults, struct event *ret_event,
                 struct problems *ret_problems)
{
    if (!begin(parser, line, ret_problems))
        return false;
    json_line_read(line, &parser->arena, &parser->fields, ret_problems);
    /* Of a broken line nothing more is said: what could not be read would be called missing. */
    for (size_t i = problems_kept(ret_problems); i > 0; i--)
        if (ret_problems->items[i - 1].column)
            return false;
    return event_from_fields(parser, defaults, -1, ret_event, ret_problems);
}

bool parser_csv(struct parser *parser, const struct csv_header *header, struct slice record,
                const struct parser_defaults *defaults, struct event *ret_event, struct problems *ret_problems)
{
    return begin(parser, record, ret_problems) &&
           csv_record_read(header, record, &parser->arena, &parser->fields, ret_problems) &&
           event_from_fields(parser, defaults, defaults->csv_type, ret_event, ret_problems);
}

bool parser_fields(struct parser *parser, const struct fields *fields, const struct parser_defaults *defaults, struct event *ret_event,
                   struct problems *ret_problems)
{
    ret_problems->count = 0;
    arena_reset(&parser->arena);
    /* The lists' texts are put in normal form where they stand: in a copy. */
    for (int list = 0; list < 2; list++) {
        const struct unit *from = list ? fields->units->resulting : fields->units->merged;
        size_t count = fields->counts[list] < UNIT_LIST_MOST ? fields->counts[list] : UNIT_LIST_MOST;
        memcpy(list ? parser->units.resulting : parser->units.merged, from, count * sizeof *from);
    }
    parser->fields = *fields;
    parser->fields.units = &parser->units;
    return event_from_fields(parser, defaults, -1, ret_event, ret_problems);
}

const struct space *parser_space(struct parser *parser, const struct event *event)
{
    return spaces_get(&parser->spaces, event->type, event->source, event->agency);
}
