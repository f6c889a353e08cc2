/* Painted text, and tables whose columns line up by what they show. Pure. */
#include <assert.h>
#include <stdio.h>

#include "query/text.h"

enum { INDENT = 2, GAP = 2, LABEL_LEAST = 25, COLUMN_LEAST = 8 };

void text_paint(struct buffer *out, const struct text_style *style, enum paint paint, const char *text)
{
    static const char *const codes[] = {
        [PAINT_NONE] = "",       [PAINT_BOLD] = "\033[1m",    [PAINT_DIM] = "\033[2m",
        [PAINT_GOOD] = "\033[32m", [PAINT_WARN] = "\033[33m", [PAINT_BAD] = "\033[1;31m",
    };
    bool painted = style->colour && paint != PAINT_NONE;
    if (painted)
        buffer_text_append(out, codes[paint]);
    buffer_text_append(out, text);
    if (painted)
        buffer_text_append(out, "\033[0m");
}

void text_pad(struct buffer *out, int columns)
{
    if (columns > 0)
        buffer_printf(out, "%*s", columns, "");
}

void table_row(struct text_table *table, enum paint paint, const char *label)
{
    assert(table->rows < TABLE_ROWS_MOST);
    table->paints[table->rows++] = paint;
    table->columns = 0;
    table_cell(table, label);
}

void table_cell(struct text_table *table, const char *text)
{
    assert(table->rows > 0 && table->columns < TABLE_COLUMNS_MOST);
    snprintf(table->cells[table->rows - 1][table->columns++], TABLE_CELL_SIZE, "%s", text);
}

static int cell_width(const struct text_table *table, int row, int column)
{
    return text_width(slice_of(table->cells[row][column]));
}

/* Everything below one another: "  heading  text" for each cell. */
static void print_stacked(const struct text_table *table, const struct text_style *style, struct buffer *out)
{
    int widest = 0;
    for (int column = 1; column < table->columns; column++)
        if (cell_width(table, 0, column) > widest)
            widest = cell_width(table, 0, column);
    for (int row = 0; row < table->rows; row++) {
        text_pad(out, row ? INDENT : 0);
        text_paint(out, style, table->paints[row], table->cells[row][0]);
        buffer_text_append(out, "\n");
        for (int column = 1; row && column < table->columns; column++) {
            text_pad(out, 2 * INDENT);
            text_paint(out, style, PAINT_DIM, table->cells[0][column]);
            text_pad(out, widest - cell_width(table, 0, column) + GAP);
            text_paint(out, style, table->paints[row], table->cells[row][column]);
            buffer_text_append(out, "\n");
        }
    }
}

/* Each column's width; returns that of the whole line. */
static int measure(const struct text_table *table, int widths[TABLE_COLUMNS_MOST])
{
    int total = INDENT;
    for (int column = 0; column < table->columns; column++) {
        int least = column ? COLUMN_LEAST : LABEL_LEAST;
        widths[column] = table->least[column] > least ? table->least[column] : least;
        for (int row = 0; row < table->rows; row++) {
            int outdent = column == 0 && row == 0 ? INDENT : 0;
            if (cell_width(table, row, column) - outdent > widths[column])
                widths[column] = cell_width(table, row, column) - outdent;
        }
        total += widths[column] + (column ? GAP : 0);
    }
    return total;
}

void table_align(struct text_table *first, struct text_table *second)
{
    int a[TABLE_COLUMNS_MOST] = {0}, b[TABLE_COLUMNS_MOST] = {0};
    measure(first, a);
    measure(second, b);
    for (int column = 0; column < TABLE_COLUMNS_MOST; column++)
        first->least[column] = second->least[column] = a[column] > b[column] ? a[column] : b[column];
    if (measure(first, a) <= TEXT_COLUMNS && measure(second, b) <= TEXT_COLUMNS)
        return;
    memset(first->least, 0, sizeof first->least);
    memset(second->least, 0, sizeof second->least);
}

void table_print(const struct text_table *table, const struct text_style *style, struct buffer *out)
{
    int widths[TABLE_COLUMNS_MOST];
    if (measure(table, widths) > TEXT_COLUMNS) {
        print_stacked(table, style, out);
        return;
    }
    for (int row = 0; row < table->rows; row++) {
        text_pad(out, row ? INDENT : 0);
        for (int column = 0; column < table->columns; column++) {
            int room = widths[column] - cell_width(table, row, column) + (row == 0 && column == 0 ? INDENT : 0);
            if (column)
                text_pad(out, GAP + room);
            text_paint(out, style, row == 0 && column ? PAINT_DIM : table->paints[row], table->cells[row][column]);
            if (!column)
                text_pad(out, room);
        }
        buffer_text_append(out, "\n");
    }
}
