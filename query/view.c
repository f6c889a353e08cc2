/* Views: the documents that every client gets, made once for each state. */
#include "query/view.h"

#include <brotli/encode.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zlib.h>

#include "query/accept.h"
#include "query/page.h"
#include "query/web.h"

enum {
    PACKED_LEAST = 512,
    GZIP_WINDOW = 15 + 16,
    GZIP_LEVEL = 5,
    BROTLI_LEVEL = 5,        /* of what is made for each state */
    BROTLI_LEVEL_STATIC = 10 /* of what is made once */
};

#define LIVE "public, max-age=1"
/* The page takes everything from here and runs nothing that stands in it. */
#define PAGE_POLICY                                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; "     \
    "form-action 'self'; frame-ancestors 'self'"
#define BADGE_POLICY "default-src 'none'; style-src 'unsafe-inline'"

struct shared_figures *shared_figures_ref(struct shared_figures *shared)
{
    atomic_fetch_add(&shared->references, 1);
    return shared;
}

struct shared_figures *shared_figures_unref(struct shared_figures *shared)
{
    if (shared && atomic_fetch_sub(&shared->references, 1) == 1) {
        figures_free(&shared->figures);
        free(shared);
    }
    return NULL;
}

/* Nothing is written where it can't be had or saves nothing: the plain body serves as well. */
static void pack_gzip(const struct buffer *body, struct buffer *out)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    size_t most = deflateBound(&stream, body->size);
    char *data = malloc(most);
    stream.next_in = (Bytef *)(uintptr_t)body->data;
    stream.avail_in = (uInt)body->size;
    stream.next_out = (Bytef *)data;
    stream.avail_out = (uInt)most;
    if (data && deflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out < body->size)
        buffer_append(out, data, stream.total_out);
    deflateEnd(&stream);
    free(data);
}

static void pack_brotli(const struct buffer *body, int level, struct buffer *out)
{
    size_t size = BrotliEncoderMaxCompressedSize(body->size);
    uint8_t *data = malloc(size);
    if (data && BrotliEncoderCompress(level, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, body->size, (const uint8_t *)body->data,
                                      &size, data) == BROTLI_TRUE && size < body->size)
        buffer_append(out, data, size);
    free(data);
}

static struct http_response *with_validators(struct http_response *response, const struct document *document,
                                             const struct rendering *rendering, int64_t stale_ms)
{
    char seconds[24];
    response = http_response_header(response, "ETag", document->etag);
    response = http_response_header(response, "Cache-Control",
                                    rendering->cache_control ? rendering->cache_control : LIVE);
    response = http_response_header(response, "Vary",
                                    rendering->by_language ? "Accept, Accept-Encoding, Accept-Language" : "Accept, Accept-Encoding");
    response = http_response_header(response, "X-Content-Type-Options", "nosniff");
    if (rendering->policy)
        response = http_response_header(response, "Content-Security-Policy", rendering->policy);
    snprintf(seconds, sizeof seconds, "%" PRId64, stale_ms / 1000);
    return stale_ms ? http_response_header(response, "X-Stale-Seconds", seconds) : response;
}

static struct http_response *packed_response(struct buffer *packed, const char *coding, const struct document *document,
                                             const struct rendering *rendering, int64_t stale_ms)
{
    if (buffer_failed(packed) || !packed->size)
        return NULL;
    return with_validators(http_response_header(http_response_take(200, rendering->type, packed), "Content-Encoding", coding),
                           document, rendering, stale_ms);
}

/* Takes the body; `gzip` may hold it packed already. */
static bool document_finish(struct document *document, struct buffer *body, struct buffer *gzip, int brotli_level,
                            const struct rendering *rendering, int64_t stale_ms)
{
    struct buffer brotli = BUFFER_BOUNDED(DOCUMENT_MOST);
    if (body->size >= PACKED_LEAST) {
        if (!gzip->size)
            pack_gzip(body, gzip);
        pack_brotli(body, brotli_level, &brotli);
    }
    document->unchanged = with_validators(http_response_new(304, NULL, "", 0), document, rendering, stale_ms);
    document->gzip = packed_response(gzip, "gzip", document, rendering, stale_ms);
    document->brotli = packed_response(&brotli, "br", document, rendering, stale_ms);
    document->plain = with_validators(http_response_take(200, rendering->type, body), document, rendering, stale_ms);
    buffer_free(&brotli);
    if (document->plain && document->unchanged)
        return true;
    document_free(document);
    return false;
}

static void set_etag(struct document *document, const void *data, size_t size)
{
    snprintf(document->etag, sizeof document->etag, "W/\"%016" PRIx64 "\"", (uint64_t)XXH64(data, size, 0));
}

bool document_make(const struct rendering *rendering, const struct totals *totals, int64_t stale_ms, struct document *document)
{
    struct totals timeless = *totals;
    struct buffer body = BUFFER_BOUNDED(DOCUMENT_MOST), gzip = BUFFER_BOUNDED(DOCUMENT_MOST);
    *document = (struct document){0};
    timeless.read_at_ms = 0;
    timeless.has_lag = timeless.stale = false;
    rendering->render(rendering, &timeless, &body);
    bool ok = !buffer_failed(&body);
    if (ok)
        set_etag(document, body.data, body.size);
    buffer_reset(&body);
    if (ok)
        rendering->render(rendering, totals, &body);
    ok = ok && !buffer_failed(&body);
    if (ok)
        ok = document_finish(document, &body, &gzip, BROTLI_LEVEL, rendering, stale_ms);
    buffer_free(&body);
    buffer_free(&gzip);
    return ok;
}

bool document_make_static(struct slice body, struct slice gzip, const char *type, const char *cache_control,
                          struct document *document)
{
    struct buffer plain = BUFFER_BOUNDED(DOCUMENT_MOST), packed = BUFFER_BOUNDED(DOCUMENT_MOST);
    *document = (struct document){0};
    buffer_slice_append(&plain, body);
    buffer_slice_append(&packed, gzip);
    set_etag(document, body.data, body.size);
    bool ok = !buffer_failed(&plain) && document_finish(document, &plain, &packed, BROTLI_LEVEL_STATIC,
                                                        &(struct rendering){.type = type, .cache_control = cache_control}, 0);
    buffer_free(&plain);
    buffer_free(&packed);
    return ok;
}

void document_free(struct document *document)
{
    http_response_unref(document->plain);
    http_response_unref(document->gzip);
    http_response_unref(document->brotli);
    http_response_unref(document->unchanged);
    *document = (struct document){0};
}

/* Does If-None-Match name the validator? Weakly compared, as for GET. */
static bool is_unchanged(const char *header, const char *etag)
{
    if (!header)
        return false;
    const char *opaque = etag + 2; /* "…" with its quotes */
    return strcmp(header, "*") == 0 || strstr(header, opaque);
}

/* How much a coding is wanted; "*" stands for those that are not named. */
static int coding_wanted(const char *header, const char *coding)
{
    int wanted = accept_wanted(header, coding);
    return wanted >= 0 ? wanted : accept_wanted(header, "*");
}

struct http_response *document_answer(const struct document *document, const struct http_request *request)
{
    if (is_unchanged(http_header(request, "If-None-Match"), document->etag))
        return http_response_ref(document->unchanged);
    const char *header = http_header(request, "Accept-Encoding");
    int brotli = header && document->brotli ? coding_wanted(header, "br") : 0;
    int gzip = header && document->gzip ? coding_wanted(header, "gzip") : 0;
    if (brotli > 0 && brotli >= gzip)
        return http_response_ref(document->brotli);
    return http_response_ref(gzip > 0 ? document->gzip : document->plain);
}

static struct slice page_template(void)
{
    for (size_t i = 0; i < web_file_count; i++)
        if (strcmp(web_files[i].path, "/") == 0)
            return web_files[i].body;
    return (struct slice){0};
}

static void render_view(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    const struct figures *figures = &rendering->view->shared->figures;
    static const struct changes_query newest = {
        .limit = CHANGES_LIMIT_DEFAULT, .before_version = INT64_MAX, .before_number = INT64_MAX};
    switch ((enum view_document)rendering->kind) {
    case VIEW_TOTALS:
        totals_json(totals, out, NULL);
        break;
    case VIEW_TOTALS_CSV:
        totals_csv(totals, out);
        break;
    case VIEW_AGENCIES:
        agencies_json(figures, totals, out);
        break;
    case VIEW_AGENCIES_CSV:
        agencies_csv(figures, out);
        break;
    case VIEW_UNITS:
        units_json(totals, out);
        break;
    case VIEW_UNITS_CSV:
        units_csv(totals, out);
        break;
    case VIEW_VISITORS:
        visitors_json(figures, totals, out);
        break;
    case VIEW_VISITORS_CSV:
        visitors_csv(figures, out);
        break;
    case VIEW_CHANGES:
        changes_json(figures, totals, &newest, out);
        break;
    case VIEW_CHANGES_CSV:
        changes_csv(figures, &newest, out);
        break;
    case VIEW_CHANGES_ATOM:
        changes_atom(figures, totals, out);
        break;
    case VIEW_PAGE_VI:
    case VIEW_PAGE_EN:
        page_html(page_template(), figures, totals, rendering->kind == VIEW_PAGE_VI ? LANGUAGE_VI : LANGUAGE_EN, out);
        break;
    case VIEW_WIDGET_VI:
    case VIEW_WIDGET_EN:
        badge_visitors_svg(totals, rendering->kind == VIEW_WIDGET_VI ? LANGUAGE_VI : LANGUAGE_EN, out);
        break;
    case VIEW_REDUCTION_VI:
    case VIEW_REDUCTION_EN:
        badge_reduction_svg(totals, rendering->kind == VIEW_REDUCTION_VI ? LANGUAGE_VI : LANGUAGE_EN, out);
        break;
    case VIEW_DOCUMENTS:
        break;
    }
}

struct view *view_new(struct shared_figures *shared, const struct totals *totals, int64_t stale_ms)
{
    static const char *const types[VIEW_DOCUMENTS] = {
        [VIEW_TOTALS] = "application/json",   [VIEW_TOTALS_CSV] = "text/csv; charset=utf-8",
        [VIEW_AGENCIES] = "application/json", [VIEW_AGENCIES_CSV] = "text/csv; charset=utf-8",
        [VIEW_UNITS] = "application/json",    [VIEW_UNITS_CSV] = "text/csv; charset=utf-8",
        [VIEW_VISITORS] = "application/json", [VIEW_VISITORS_CSV] = "text/csv; charset=utf-8",
        [VIEW_CHANGES] = "application/json",  [VIEW_CHANGES_CSV] = "text/csv; charset=utf-8",
        [VIEW_CHANGES_ATOM] = "application/atom+xml",
        [VIEW_PAGE_VI] = "text/html; charset=utf-8",
        [VIEW_PAGE_EN] = "text/html; charset=utf-8",
        [VIEW_WIDGET_VI] = "image/svg+xml",
        [VIEW_WIDGET_EN] = "image/svg+xml",
        [VIEW_REDUCTION_VI] = "image/svg+xml",
        [VIEW_REDUCTION_EN] = "image/svg+xml",
    };
    struct view *view = calloc(1, sizeof *view);
    if (!view) {
        shared_figures_unref(shared);
        return NULL;
    }
    atomic_init(&view->references, 1);
    view->shared = shared;
    view->totals = *totals;
    view->stale_ms = stale_ms;
    for (int kind = 0; kind < VIEW_DOCUMENTS; kind++)
        if (!document_make(&(struct rendering){.render = render_view,
                                               .type = types[kind],
                                               .policy = kind < VIEW_PAGE_VI     ? NULL
                                                         : kind < VIEW_WIDGET_VI ? PAGE_POLICY
                                                                                 : BADGE_POLICY,
                                               .by_language = kind >= VIEW_PAGE_VI,
                                               .view = view,
                                               .kind = kind},
                           totals, stale_ms, &view->documents[kind]))
            return view_unref(view);
    return view;
}

struct view *view_ref(struct view *view)
{
    if (view)
        atomic_fetch_add(&view->references, 1);
    return view;
}

struct view *view_unref(struct view *view)
{
    if (!view || atomic_fetch_sub(&view->references, 1) > 1)
        return NULL;
    for (int kind = 0; kind < VIEW_DOCUMENTS; kind++)
        document_free(&view->documents[kind]);
    shared_figures_unref(view->shared);
    free(view);
    return NULL;
}
