/* The text for people: as in tests/unit/golden, never wider than 80 columns, the same with and without colour. */
#define _GNU_SOURCE /* wcwidth */
#include <inttypes.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "query/text.h"
#include "tests/unit/made_totals.h"

static void render(const struct totals *totals, struct text_style style, struct buffer *out)
{
    *out = BUFFER_BOUNDED(TEXT_MOST);
    totals_text(totals, &style, out);
    assert_non_null(buffer_text(out));
}

/* With GOLDEN_WRITE in the environment the files are written anew, to be read over before they are committed. */
static void expect_golden(const struct totals *totals, struct text_style style, const char *name)
{
    char path[512], expected[16384];
    snprintf(path, sizeof path, "%s/%s.txt", GOLDEN_DIRECTORY, name);
    struct buffer out;
    render(totals, style, &out);
    FILE *file = getenv("GOLDEN_WRITE") ? fopen(path, "we") : NULL;
    if (file) {
        assert_int_equal(fwrite(out.data, 1, out.size, file), out.size);
        fclose(file);
    }
    file = fopen(path, "re");
    size_t size = file ? fread(expected, 1, sizeof expected - 1, file) : 0;
    if (file)
        fclose(file);
    expected[size] = '\0';
    if (strcmp(expected, out.data) != 0) {
        fprintf(stderr, "%s\n", out.data);
        fail_msg("%s is not what is printed above", path);
    }
    buffer_free(&out);
}

/* Columns by the C library's tables, which are not the program's. */
static int columns_of(const char *line, size_t size)
{
    int columns = 0;
    mbstate_t state = {0};
    while (size > 0) {
        wchar_t character;
        size_t used = mbrtowc(&character, line, size, &state);
        assert_true(used > 0 && used <= size);
        assert_true(wcwidth(character) >= 0);
        columns += wcwidth(character);
        line += used;
        size -= used;
    }
    return columns;
}

static void expect_narrow(const char *text)
{
    for (const char *line = text; *line; line++) {
        size_t size = strcspn(line, "\n");
        assert_int_equal(line[size], '\n');
        if (columns_of(line, size) > TEXT_COLUMNS)
            fail_msg("%d columns: %.*s", columns_of(line, size), (int)size, line);
        assert_true(size == 0 || line[size - 1] != ' ');
        line += size;
    }
}

static void remove_colour(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '\033') {
            *to++ = *from;
            continue;
        }
        from += strcspn(from, "m");
        assert_int_equal(*from, 'm');
    }
    *to = '\0';
}

/* Narrow in both languages, and colour changes nothing else. */
static void expect_well_formed(const struct totals *totals, struct text_style style)
{
    for (int language = 0; language < LANGUAGES; language++) {
        struct buffer plain, coloured;
        style.language = (enum language)language;
        style.colour = false;
        render(totals, style, &plain);
        style.colour = true;
        render(totals, style, &coloured);
        assert_null(strchr(plain.data, '\033'));
        assert_non_null(strchr(coloured.data, '\033'));
        expect_narrow(plain.data);
        remove_colour(coloured.data);
        assert_string_equal(plain.data, coloured.data);
        buffer_free(&plain);
        buffer_free(&coloured);
    }
}

static void live_in_both_languages(void **state)
{
    (void)state;
    struct pilot pilots[6] = {0};
    struct totals totals = made_totals(pilots);
    expect_golden(&totals, (struct text_style){.language = LANGUAGE_VI}, "live-vi");
    expect_golden(&totals, (struct text_style){.language = LANGUAGE_EN}, "live-en");
    expect_well_formed(&totals, (struct text_style){0});
}

static void an_empty_city(void **state)
{
    (void)state;
    struct totals totals = {.city = "da-nang", .read_at_ms = INT64_C(1605843150250)};
    struct text_style style = {.language = LANGUAGE_VI, .lag_asked = true};
    expect_golden(&totals, style, "empty-vi");
    style.language = LANGUAGE_EN;
    expect_golden(&totals, style, "empty-en");
    expect_well_formed(&totals, style);
}

static void by_date_when_the_goal_is_met(void **state)
{
    (void)state;
    struct pilot pilots[6] = {0};
    struct totals totals = made_totals(pilots);
    totals.by_date = true;
    totals.date = 18992; /* 2021-12-31 */
    totals.headcount = made_headcount(10000, 8999);
    totals.target_met = true;
    totals.has_lag = true;
    expect_golden(&totals, (struct text_style){.language = LANGUAGE_VI}, "date-vi");
    expect_golden(&totals, (struct text_style){.language = LANGUAGE_EN}, "date-en");
    expect_well_formed(&totals, (struct text_style){0});
}

static void stale_with_age_and_reason(void **state)
{
    (void)state;
    struct pilot pilots[6] = {0};
    struct totals totals = made_totals(pilots);
    totals.stale = totals.has_lag = true;
    totals.lag = 1;
    totals.pilot_count = totals.models = totals.districts = 1;
    totals.visitors.today_visitors = totals.events = totals.dead_letters = 1;
    struct text_style style = {.language = LANGUAGE_VI, .stale_age_ms = 15999,
                               .stale_reason = "read the totals of haiphong: key {haiphong}:totals field events holds "
                                               "\"a\tlong\033[31mtext with control characters in it that goes on and on\""};
    expect_golden(&totals, style, "stale-vi");
    style.language = LANGUAGE_EN;
    expect_golden(&totals, style, "stale-en");
    expect_well_formed(&totals, style);
}

static void the_widest_numbers_and_ids_fit(void **state)
{
    (void)state;
    static struct pilot pilots[40];
    struct totals totals = {.city = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", .version = COUNTER_MOST, .has_updated_at = true,
                            .has_lag = true, .lag = COUNTER_MOST, .stale = true, .effective_later = -SUM_MOST,
                            .pilots = pilots, .pilot_count = 40, .models = 4, .districts = 40,
                            .visitors = {COUNTER_MOST, COUNTER_MOST, COUNTER_MOST, COUNTER_MOST, COUNTER_MOST},
                            .events = COUNTER_MOST, .dead_letters = COUNTER_MOST};
    totals.headcount = made_headcount(1, -SUM_MOST);
    for (int i = 0; i < SECTORS; i++)
        totals.by_sector[i] = made_headcount(i ? SUM_MOST : 1, -SUM_MOST);
    for (int i = 0; i < CATEGORIES; i++)
        totals.units[i] = (struct units){true, SUM_MOST, 2 * SUM_MOST, -SUM_MOST, SUM_MOST, COUNTER_MOST};
    for (int i = 0; i < 40; i++) {
        memset(pilots[i].model, 'a' + i / 10, 64);
        memset(pilots[i].district, 'a' + i % 26, i < 20 ? 64 : 7);
    }
    expect_well_formed(&totals, (struct text_style){.stale_age_ms = INT64_MAX, .stale_reason = "x"});
    for (int i = 0; i < CATEGORIES; i++)
        totals.units[i] = (struct units){true, 12345678, 1234567, -123456, 123456, 12345};
    totals.headcount = made_headcount(SUM_MOST, SUM_MOST);
    expect_well_formed(&totals, (struct text_style){0});
}

static void any_numbers_fit(void **state)
{
    (void)state;
    uint64_t seed = 34;
    for (int round = 0; round < 3000; round++) {
        int64_t random[32];
        for (int i = 0; i < 32; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            random[i] = ((int64_t)seed >> (2 + (seed >> 7) % 60)) % SUM_MOST;
        }
        struct totals totals = {.city = "haiphong", .version = llabs(random[0]), .has_lag = round % 2, .lag = llabs(random[1]),
                                .has_updated_at = true, .effective_later = random[2], .by_date = round % 5 == 0,
                                .headcount = made_headcount(random[3], random[4]),
                                .visitors = {llabs(random[5]), llabs(random[6]), llabs(random[7]), llabs(random[8]), 3}};
        for (int i = 0; i < SECTORS; i++)
            totals.by_sector[i] = made_headcount(random[10 + i], random[14 + i]);
        for (int i = 0; i < CATEGORIES; i++)
            totals.units[i] = (struct units){random[i] % 2, random[16 + i], random[20 + i], random[24 + i], random[26 + i],
                                             random[27 + i]};
        totals.target_met = target_is_met(totals.headcount.reduction, totals.headcount.baseline);
        expect_well_formed(&totals, (struct text_style){.lag_asked = round % 3 == 0});
    }
}

static void expect_gauge(int64_t baseline, int64_t current, const char *expected)
{
    struct totals totals = {.city = "x", .headcount = made_headcount(baseline, current)};
    totals.target_met = target_is_met(baseline - current, baseline);
    struct buffer out;
    render(&totals, (struct text_style){.language = LANGUAGE_EN}, &out);
    if (!strstr(out.data, expected))
        fail_msg("no gauge \"%s\" in:\n%s", expected, out.data);
    buffer_free(&out);
}

static void the_gauge_is_full_only_at_the_goal(void **state)
{
    (void)state;
#define TEN "██████████"
#define NONE "──────────"
    expect_gauge(10000, 10000, "  0.0000%  " NONE NONE NONE NONE NONE "──────  10%\n");
    expect_gauge(10000, 12000, "  -20.0000%  " NONE NONE NONE NONE NONE "──────  10%\n");
    expect_gauge(10000, 9500, "  5.0000%  " TEN TEN "████████────────" NONE NONE "  10%\n");
    expect_gauge(1000000000, 900000001, "  10.0000%  " TEN TEN TEN TEN TEN "█████▉  10%\n");
    expect_gauge(10000, 9000, "  10.0000%  " TEN TEN TEN TEN TEN "██████  10%\n");
    expect_gauge(10000, -9000, "  190.0000%  " TEN TEN TEN TEN TEN "██████  10%\n");
}

static void numbers_by_language(void **state)
{
    (void)state;
    char text[NUMBER_TEXT_SIZE];
    assert_string_equal(text_number(LANGUAGE_VI, 1234567, false, text), "1.234.567");
    assert_string_equal(text_number(LANGUAGE_EN, -1234567, true, text), "-1,234,567");
    assert_string_equal(text_number(LANGUAGE_EN, 123, true, text), "+123");
    assert_string_equal(text_number(LANGUAGE_EN, 0, true, text), "0");
    assert_string_equal(text_number(LANGUAGE_VI, INT64_MIN, false, text), "-9.223.372.036.854.775.808");
    assert_string_equal(text_percent(LANGUAGE_VI, "-1234.5000", text), "-1.234,5000%");
    assert_string_equal(text_percent(LANGUAGE_EN, "100.0000", text), "100.0000%");
    assert_string_equal(text_percent(LANGUAGE_EN, "-922337203685477580800.0000", text), "-922,337,203,685,477,580,800.0000%");
    assert_string_equal(text_percent(LANGUAGE_VI, "", text), "–");
    assert_string_equal(text_date(LANGUAGE_VI, 18565, text), "30/10/2020");
    assert_string_equal(text_time(LANGUAGE_VI, INT64_C(1605837600999), text), "09:00:00 20/11/2020");
    assert_string_equal(text_time(LANGUAGE_EN, INT64_C(1605891599999), text), "2020-11-20 23:59:59");
    assert_string_equal(text_age(LANGUAGE_VI, 59999, text), "59 giây");
    assert_string_equal(text_age(LANGUAGE_VI, 60000, text), "1 phút");
    assert_string_equal(text_age(LANGUAGE_EN, 47 * 3600000, text), "47 h");
    assert_string_equal(text_age(LANGUAGE_EN, 48 * 3600000, text), "2 days");
    assert_string_equal(text_age(LANGUAGE_EN, -5, text), "0 s");
}

static void widths_are_columns(void **state)
{
    (void)state;
    assert_int_equal(text_width(slice_of("Hải Phòng")), 9);
    assert_int_equal(text_width(slice_of("Ha\xCC\x89i")), 3); /* a hook above of its own */
    assert_int_equal(text_width(slice_of("\xFF\xFEx")), 3);
    assert_int_equal(text_width(slice_of("")), 0);
}

static void expect_fit(const char *text, int columns, size_t size, int taken, const char *expected)
{
    char to[64];
    assert_int_equal(text_fit(slice_of(text), columns, to, size), taken);
    assert_string_equal(to, expected);
}

static void what_fits_is_whole_and_harmless(void **state)
{
    (void)state;
    expect_fit("Hải Phòng", 3, 64, 3, "Hải");
    expect_fit("Hải", 80, 64, 3, "Hải");
    expect_fit("Hải", 80, 4, 1, "H");
    expect_fit("Hải", 80, 5, 2, "Hả");
    expect_fit("日本", 3, 64, 2, "日");
    expect_fit("日本", 4, 64, 4, "日本");
    expect_fit("a\tb\033[31mc\x7F", 80, 64, 10, "a?b?[31mc?");
    expect_fit("a\xC2\x9B" "31mb\xFF\xC3", 80, 64, 8, "a?31mb??");
    expect_fit("", 80, 64, 0, "");
    expect_fit("abc", 0, 64, 0, "");
    expect_fit("abc", 80, 1, 0, "");
}

int main(void)
{
    if (!setlocale(LC_ALL, "C.UTF-8"))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_in_both_languages),     cmocka_unit_test(an_empty_city),
        cmocka_unit_test(by_date_when_the_goal_is_met), cmocka_unit_test(stale_with_age_and_reason),
        cmocka_unit_test(the_widest_numbers_and_ids_fit), cmocka_unit_test(any_numbers_fit),
        cmocka_unit_test(the_gauge_is_full_only_at_the_goal), cmocka_unit_test(numbers_by_language),
        cmocka_unit_test(widths_are_columns),         cmocka_unit_test(what_fits_is_whole_and_harmless),
    };
    return cmocka_run_group_tests_name("totals_text", tests, NULL, NULL);
}
