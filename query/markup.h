/* Text inside XML and HTML. */
#ifndef CITYTOTALS_QUERY_MARKUP_H
#define CITYTOTALS_QUERY_MARKUP_H

#include "base/buffer.h"

/* Escaped for content and quoted attributes; what is no UTF-8 or a control character becomes U+FFFD. */
void markup_text(struct buffer *out, struct slice text);

#endif
