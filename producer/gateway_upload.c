/* The page for offices that have a table and no programmer: GET /upload, its script, its look, and the empty tables. */
#include "producer/gateway_pages.h"
#include "producer/gateway_state.h"

/* Nothing but the page's own files, and nobody may frame it: it is given a token. */
#define POLICY                                                                                                          \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "    \
    "form-action 'none'; frame-ancestors 'none'"

/* The reader's wish in the address, else the browser's first language; Vietnamese otherwise. NULL: the address has another. */
static const char *language_of(const struct http_request *request)
{
    struct slice asked = http_parameter(request, "lang");
    if (asked.data)
        return slice_equal(asked, slice_of("vi")) ? "vi" : slice_equal(asked, slice_of("en")) ? "en" : NULL;
    const char *accepted = http_header(request, "Accept-Language");
    return accepted && strncasecmp(accepted, "en", 2) == 0 ? "en" : "vi";
}

void gateway_get_page(struct http_request *request, void *context)
{
    (void)context;
    const char *language = language_of(request);
    if (!language) {
        http_reply(request, http_problem_parameter("lang", "allowed: vi, en"));
        return;
    }
    const struct gateway_page *page = gateway_pages;
    while (page->path && !(strcmp(page->path, request->path) == 0 && (!*page->language || strcmp(page->language, language) == 0)))
        page++;
    if (!page->path) {
        http_reply(request, http_problem(404, "there is nothing at this path", NULL, 0));
        return;
    }
    struct http_response *response = http_response_new(200, page->type, page->content.data, page->content.size);
    response = http_response_header(response, "Content-Security-Policy", POLICY);
    response = http_response_header(response, "X-Content-Type-Options", "nosniff");
    response = http_response_header(response, "Referrer-Policy", "no-referrer");
    if (strstr(page->type, "csv"))
        response = http_response_header(response, "Content-Disposition", "attachment");
    http_reply(request, http_response_header(response, "Cache-Control", "no-cache"));
}
