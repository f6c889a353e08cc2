/* The settings table: every kind of value from flags, environment and file, their precedence, and each refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/settings.h"

struct options {
    struct common_options common;
    bool until_end;
    int64_t number, size, duration;
    int32_t date;
    const char *address, *needed, *token;
    struct setting_list words;
};

#define AT(field) offsetof(struct options, field)
static const struct setting own[] = {
    {.name = "until-end", .letter = 'u', .kind = SETTING_FLAG, .offset = AT(until_end), .help = "H."},
    {.name = "number", .letter = 'n', .kind = SETTING_NUMBER, .offset = AT(number), .default_text = "7", .least = 1, .most = 100,
     .placeholder = "N", .help = "H."},
    {.name = "size", .kind = SETTING_SIZE, .offset = AT(size), .default_text = "2KiB", .placeholder = "SIZE", .help = "H."},
    {.name = "duration", .kind = SETTING_DURATION, .offset = AT(duration), .default_text = "5s", .least = 1, .most = 3600000,
     .placeholder = "TIME", .help = "H."},
    {.name = "date", .kind = SETTING_DATE, .offset = AT(date), .placeholder = "DATE", .help = "H."},
    {.name = "address", .kind = SETTING_ADDRESS, .offset = AT(address), .placeholder = "A:P", .help = "H."},
    {.name = "token", .kind = SETTING_TEXT, .offset = AT(token), .secret = true, .placeholder = "T", .help = "H."},
    {.name = "word", .letter = 'w', .kind = SETTING_LIST, .offset = AT(words), .placeholder = "W", .help = "H."},
    {0},
};
static const struct setting *const tables[] = {common_settings, own, NULL};
static const struct command command = {
    .program = "prog", .name = "run", .summary = "S.", .tables = tables, .options_size = sizeof(struct options)};
static const struct command with_operands = {.program = "prog", .name = "send", .summary = "S.", .operands = "[FILE…]",
                                             .tables = tables, .options_size = sizeof(struct options)};

static char path[] = "/tmp/citytotals-test-settings-XXXXXX";
static struct options options;
static struct settings *settings;
static struct error error;
static char **operands;
static int operand_count;
static bool done;

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(path);
    if (file >= 0)
        close(file);
    return file >= 0 ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int fresh(void **state)
{
    (void)state;
    static const char *const names[] = {"CONFIG", "NUMBER", "WORD", "TOKEN", "TOKEN_FILE", "UNTIL_END", "CITY", "REDIS_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "CITYTOTALS_%s", names[i]);
        unsetenv(name);
    }
    return 0;
}

static int forget(void **state)
{
    (void)state;
    settings = settings_free(settings);
    return 0;
}

static void given_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The arguments after the command's name, NULL-ended. */
static int parse(const struct command *as, ...)
{
    char *argv[32] = {(char *)(uintptr_t)as->program, (char *)(uintptr_t)as->name};
    int argc = 2;
    va_list list;
    va_start(list, as);
    while ((argv[argc] = va_arg(list, char *)))
        argc++;
    va_end(list);
    settings = settings_free(settings);
    options = (struct options){0};
    error = (struct error){0};
    return settings_parse(as, argc, argv, &options, &settings, &operands, &operand_count, &done, &error);
}
#define PARSE(...) parse(&command, ##__VA_ARGS__, NULL)

static void expect_refused(int result, const char *words)
{
    if (result >= 0)
        fail_msg("taken, expected: %s", words);
    assert_int_equal(error_exit_status(error.code), 2);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(PARSE(), 0);
    assert_false(done);
    assert_string_equal(options.common.city, "haiphong");
    assert_string_equal(options.common.redis.url, "redis://127.0.0.1:6379");
    assert_null(options.common.brokers);
    assert_int_equal(options.common.log_level, LOG_LEVEL_INFO);
    assert_int_equal(options.number, 7);
    assert_int_equal(options.size, 2048);
    assert_int_equal(options.duration, 5000);
    assert_int_equal(options.date, INT32_MIN);
    assert_null(options.address);
    assert_int_equal(options.words.count, 0);
}

static void test_every_form_of_a_flag(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--number", "8", "-w", "a", "-wb", "--word=c", "--word", "d", "-u", "--address", "[::1]:0", "--date=2020-02-29",
                           "--size", "3MiB", "--duration", "250ms", "-b", "h:1", "--log-level=debug"),
                     0);
    assert_int_equal(options.number, 8);
    assert_int_equal(options.words.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(options.words.items[i][0], "abcd"[i]);
    assert_true(options.until_end);
    assert_string_equal(options.address, "[::1]:0");
    assert_int_equal(options.date, 18321);
    assert_int_equal(options.size, 3 << 20);
    assert_int_equal(options.duration, 250);
    assert_string_equal(options.common.brokers, "h:1");
    assert_int_equal(options.common.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(PARSE("--until-end=false", "--number=8", "--number=9"), 0);
    assert_false(options.until_end);
    assert_int_equal(options.number, 9);
}

static void test_units_of_sizes_and_durations(void **state)
{
    (void)state;
    static const struct {
        const char *size, *duration;
        int64_t bytes, ms;
    } good[] = {{"0", "1ms", 0, 1}, {"1", "1s", 1, 1000}, {"2KiB", "2min", 2048, 120000}, {"1GiB", "1h", 1 << 30, 3600000}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(PARSE("--size", good[i].size, "--duration", good[i].duration), 0);
        assert_int_equal(options.size, good[i].bytes);
        assert_int_equal(options.duration, good[i].ms);
    }
}

static void test_bad_values_name_setting_value_and_what_is_allowed(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"--number", "0", "option --number: number is \"0\"; allowed: a whole number, from 1 to 100"},
        {"--number", "101", "from 1 to 100"},
        {"--number", "x", "number is \"x\""},
        {"--number", "", "number is \"\""},
        {"--number", "5x", "number is \"5x\""},
        {"--number", "-5", "number is \"-5\""},
        {"--number", "+5", "number is \"+5\""},
        {"--number", " 5", "number is \" 5\""},
        {"--number", "5.0", "number is \"5.0\""},
        {"--number", "99999999999999999999", "number is \"99999999999999999999\""},
        {"--size", "1KB", "bytes, or a number with KiB, MiB or GiB"},
        {"--size", "9999999999999999GiB", "size is "},
        {"--duration", "5", "a number with ms, s, min or h, from 1 to 3600000 ms"},
        {"--duration", "5d", "duration is \"5d\""},
        {"--duration", "0", "duration is \"0\""},
        {"--duration", "2h", "duration is \"2h\""},
        {"--duration", "9223372036854775807h", "duration is "},
        {"--date", "2021-02-29", "a date YYYY-MM-DD"},
        {"--address", "localhost", "ADDRESS:PORT, port 0 to 65535"},
        {"--address", ":80", "ADDRESS:PORT"},
        {"--address", "h:65536", "ADDRESS:PORT"},
        {"--address", "h:8x", "ADDRESS:PORT"},
        {"--address", "h:", "ADDRESS:PORT"},
        {"--log-level", "loud", "log-level is \"loud\"; allowed: error, warning, info, debug"},
        {"--log-format", "TEXT", "allowed: text, json"},
        {"--city", "Hai Phong", "city is \"Hai Phong\"; allowed: 1 to 32 of a-z, 0-9 and -"},
        {"--city", "a23456789012345678901234567890123", "city is"},
        {"--city", "", "city is \"\"; allowed: not empty"},
        {"--brokers", "", "brokers is \"\"; allowed: not empty"},
        {"--until-end=yes", "--number=1", "allowed: true, false"},
        {"--nonsense", "1", "unknown option --nonsense; prog run --help lists the known ones"},
        {"-z", "1", "unknown option -z"},
        {"operand", "--number=1", "unexpected argument \"operand\"; prog run takes none"},
        {"--number=1", "--size", "option --size needs a value (SIZE)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused(PARSE(bad[i][0], bad[i][1]), bad[i][2]);
}

static void test_a_secret_is_never_repeated(void **state)
{
    (void)state;
    expect_refused(PARSE("--token", ""), "token is \"(secret)\"; allowed: not empty");
    expect_refused(PARSE("--tokne=hush"), "unknown option --tokne;");
    assert_null(strstr(error.text, "hush"));
}

static void test_a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    (void)state;
    given_file("# a comment\n\n  number = 11  \ncity=from-file\nword = a;b\nword = c\nuntil-end = true\r\n");
    assert_int_equal(PARSE("--config", path), 0);
    assert_int_equal(options.number, 11);
    assert_string_equal(options.common.city, "from-file");
    assert_int_equal(options.words.count, 2);
    assert_string_equal(options.words.items[0], "a;b");
    assert_true(options.until_end);
    setenv("CITYTOTALS_NUMBER", "22", 1);
    setenv("CITYTOTALS_WORD", "x;y;;z", 1);
    setenv("CITYTOTALS_UNTIL_END", "false", 1);
    setenv("CITYTOTALS_CITY", "", 1); /* empty = not given */
    assert_int_equal(PARSE("-F", path), 0);
    assert_int_equal(options.number, 22);
    assert_int_equal(options.words.count, 3);
    assert_string_equal(options.words.items[2], "z");
    assert_false(options.until_end);
    assert_string_equal(options.common.city, "from-file");
    assert_int_equal(PARSE("-F", path, "--number=33", "-w", "only", "-u"), 0);
    assert_int_equal(options.number, 33);
    assert_int_equal(options.words.count, 1);
    assert_string_equal(options.words.items[0], "only");
    assert_true(options.until_end);
    setenv("CITYTOTALS_CONFIG", path, 1);
    unsetenv("CITYTOTALS_NUMBER");
    assert_int_equal(PARSE(), 0);
    assert_int_equal(options.number, 11);
}

static void test_where_a_bad_value_came_from(void **state)
{
    (void)state;
    char words[128];
    setenv("CITYTOTALS_NUMBER", "many", 1);
    expect_refused(PARSE(), "CITYTOTALS_NUMBER: number is \"many\"");
    unsetenv("CITYTOTALS_NUMBER");
    static const char *const files[][2] = {
        {"number = 1\nnumber = many\n", "line 2: number is \"many\""},
        {"\nnonsense = 1\n", "line 2: unknown setting \"nonsense\"; prog run --help lists the known ones"},
        {"number\n", "line 1: \"number\" has no =; allowed: name = value"},
        {"config = x\n", "line 1: unknown setting \"config\""},
        {"city = Hai Phong", "city is \"Hai Phong\""},
        {"= 5\n", "line 1: unknown setting \"\""},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        given_file(files[i][0]);
        expect_refused(PARSE("--config", path), files[i][1]);
    }
    snprintf(words, sizeof words, "%s: line 1: unknown", path);
    expect_refused(PARSE("--config", path), words);
    expect_refused(PARSE("--config", "/nonexistent/file"), "open /nonexistent/file: No such file");
}

static void test_a_long_line_of_a_file_is_refused_not_split(void **state)
{
    (void)state;
    char text[6000];
    memset(text, ' ', sizeof text);
    memcpy(text, "number = 5", 10);
    memcpy(text + 4400, "city = other\n", 14);
    given_file(text);
    expect_refused(PARSE("--config", path), "line 1: it is too long");
}

static void test_secrets_by_file(void **state)
{
    (void)state;
    given_file("hush\r\nsecond line\n");
    assert_int_equal(PARSE("--token-file", path), 0);
    assert_string_equal(options.token, "hush");
    setenv("CITYTOTALS_TOKEN_FILE", path, 1);
    assert_int_equal(PARSE(), 0);
    assert_string_equal(options.token, "hush");
    assert_int_equal(PARSE("--token=flag"), 0);
    assert_string_equal(options.token, "flag");
    unsetenv("CITYTOTALS_TOKEN_FILE");
    given_file("redis://:pw@h:1");
    setenv("CITYTOTALS_REDIS_FILE", path, 1);
    assert_int_equal(PARSE(), 0);
    assert_string_equal(options.common.redis.url, "redis://:pw@h:1");
    unsetenv("CITYTOTALS_REDIS_FILE");
    given_file("");
    expect_refused(PARSE("--token-file", path), "it is empty");
    expect_refused(PARSE("--token-file", "/nonexistent/file"), "read the secret file /nonexistent/file: No such file");
    expect_refused(PARSE("--city-file", path), "unknown option --city-file");
    char text[5000];
    memset(text, 's', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    given_file(text);
    expect_refused(PARSE("--token-file", path), "at most 4096 bytes");
    assert_null(strstr(error.text, "ssss"));
}

static void test_lists_have_a_bound(void **state)
{
    (void)state;
    char text[(SETTING_LIST_MOST + 1) * 2 + 1] = "";
    for (int i = 0; i < SETTING_LIST_MOST; i++)
        strcat(text, "w;");
    setenv("CITYTOTALS_WORD", text, 1);
    assert_int_equal(PARSE(), 0);
    assert_int_equal(options.words.count, SETTING_LIST_MOST);
    strcat(text, "w");
    setenv("CITYTOTALS_WORD", text, 1);
    expect_refused(PARSE(), "at most 256 of them");
}

static void test_operands(void **state)
{
    (void)state;
    assert_int_equal(parse(&with_operands, "a", "--number", "3", "-", "--", "--number", "-x", NULL), 0);
    assert_int_equal(operand_count, 4);
    assert_string_equal(operands[0], "a");
    assert_string_equal(operands[1], "-");
    assert_string_equal(operands[2], "--number");
    assert_string_equal(operands[3], "-x");
    assert_int_equal(options.number, 3);
}

static void test_the_reference_names_every_setting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    const struct command *const commands[] = {&command};
    settings_document(file, commands, 1);
    fclose(file);
    for (size_t t = 0; tables[t]; t++) {
        for (const struct setting *setting = tables[t]; setting->name; setting++) {
            char words[64];
            snprintf(words, sizeof words, "--%s", setting->name);
            if (!strstr(text, words))
                fail_msg("%s is not there", words);
        }
    }
    assert_non_null(strstr(text, "| `-w, --word W` | `CITYTOTALS_WORD` |"));
    assert_non_null(strstr(text, "A secret: also `--token-file FILE`."));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, forget)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_every_form_of_a_flag),
        TEST(test_units_of_sizes_and_durations),
        TEST(test_bad_values_name_setting_value_and_what_is_allowed),
        TEST(test_a_secret_is_never_repeated),
        TEST(test_a_flag_wins_over_the_environment_and_that_over_the_file),
        TEST(test_where_a_bad_value_came_from),
        TEST(test_a_long_line_of_a_file_is_refused_not_split),
        TEST(test_secrets_by_file),
        TEST(test_lists_have_a_bound),
        TEST(test_operands),
        TEST(test_the_reference_names_every_setting),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
