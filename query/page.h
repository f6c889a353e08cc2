/* The page at `/` and the badges for pages without JavaScript, filled from the same figures as every other answer. Pure. */
#ifndef CITYTOTALS_QUERY_PAGE_H
#define CITYTOTALS_QUERY_PAGE_H

#include "query/documents.h"
#include "query/settings.h"

#define PAGE_GAUGE_MOST 12 /* percent at the gauge's right end */
#define PAGE_CHANGES 12

/* Fills `page`, HTML with {{Vietnamese|English}} and {{#name}}, from the figures. An unknown name is a fault of the page's author:
 * it is left out. */
void page_html(struct slice page, const struct figures *figures, const struct totals *totals, enum language language,
               struct buffer *out);
/* The timeline for pages without scripts, timeline.c: drawn; and the rows of its table. */
void timeline_html(const struct figures *figures, const struct totals *totals, enum language language, struct buffer *out);
void timeline_rows(const struct figures *figures, const struct totals *totals, enum language language, struct buffer *out);
/* An image of the visits; of the reduction. */
void badge_visitors_svg(const struct totals *totals, enum language language, struct buffer *out);
void badge_reduction_svg(const struct totals *totals, enum language language, struct buffer *out);

#endif
