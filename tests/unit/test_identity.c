/* Ids, reversals, identities, meaning digests and lanes, against values that other programs computed (Python's uuid,
 * hashlib and xxhash over the serialisation of docs/events.md; murmur2 as Kafka's Java client has it). The digests and
 * identities are stored for ever: a change here is a change of every city's state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "schemas/identity.h"

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})

static void expect_id(struct event_id id, const char *expected)
{
    char text[EVENT_ID_TEXT_SIZE];
    assert_string_equal(event_id_format(id, text), expected);
}

static void an_event_id_is_a_uuid5_of_type_source_agency_and_id(void **state)
{
    (void)state;
    static const char long_id[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    static const struct {
        enum event_type type;
        const char *source, *agency, *id, *namespace, *event_id, *reversal;
    } table[] = {
        {EVENT_HEADCOUNT_CHANGE, "hong-bang", "hong-bang", "HB-2020-0017", "4f575fec-2ffc-5b5b-8a59-386087fdc1a5",
         "cce7853e-a464-5c5d-ae40-91ca12cefa2b", "189e7a18-7ac9-5484-93b5-cfcbfaa7a6cd"},
        {EVENT_UNIT_MERGER, "so-noi-vu", "so-noi-vu", "commune-2020-1", "ae6ddcad-2214-5d1c-b247-cf617ef082b4",
         "41f975cf-08eb-5cc6-82a5-cc527766f142", "a5fb9707-3aac-510b-88f2-ca979f90dfb5"},
        {EVENT_HEADCOUNT_CHANGE, "so-noi-vu", "le-chan", "Quyết định 12/QĐ", "35853b50-79ef-50ea-a57f-f178582f96c0",
         "40f45028-cd40-5cd9-8205-37d080e21a93", "49d9d22b-5b5e-5827-a31f-9e2f7a17e763"},
        {EVENT_UNIT_MERGER, "a", "b", long_id, "df0be9f8-067c-5782-bdad-6843ee148f38",
         "6bdd078a-91e1-5ad9-a26e-4a41ac10f63c", "390d9175-bef2-55f8-a20e-696675d856e2"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct slice source = slice_of(table[i].source), agency = slice_of(table[i].agency), id = slice_of(table[i].id);
        struct event_id namespace = event_namespace(table[i].type, source, agency);
        struct event_id event_id = event_id_from(table[i].type, source, agency, id);
        expect_id(namespace, table[i].namespace);
        expect_id(event_id, table[i].event_id);
        expect_id(event_id_in_namespace(namespace, id), table[i].event_id);
        expect_id(event_id_reversal(event_id), table[i].reversal);
    }
    struct event_id twice = event_id_reversal(event_id_reversal(
        event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-2020-0017"))));
    expect_id(twice, "1fce05ee-6635-5b00-b3bb-caece030482b");
}

static void ids_are_written_in_lower_case_and_read_in_either(void **state)
{
    (void)state;
    struct event_id id = {{0}}, untouched = {{7}};
    assert_true(event_id_is_nil(id));
    assert_true(event_id_parse(TEXT("00000000-0000-0000-0000-000000000000"), &id));
    assert_true(event_id_is_nil(id));
    assert_true(event_id_parse(TEXT("CCE7853E-A464-5C5D-AE40-91ca12cefa2b"), &id));
    assert_false(event_id_is_nil(id));
    expect_id(id, "cce7853e-a464-5c5d-ae40-91ca12cefa2b");
    static const char *const bad[] = {"",
                                      "cce7853e-a464-5c5d-ae40-91ca12cefa2",
                                      "cce7853e-a464-5c5d-ae40-91ca12cefa2bb",
                                      "cce7853ea4645c5dae4091ca12cefa2b",
                                      "{ce7853e-a464-5c5d-ae40-91ca12cefa2}",
                                      "cce7853e-a464-5c5d-ae40_91ca12cefa2b",
                                      "gce7853e-a464-5c5d-ae40-91ca12cefa2b",
                                      "cce7853-ea464-5c5d-ae40-91ca12cefa2b",
                                      "cce7853e-a464-5c5d-ae40-91ca12cefa-b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(event_id_parse(slice_of(bad[i]), &untouched));
    assert_false(event_id_parse((struct slice){0}, &untouched));
    assert_int_equal(untouched.bytes[0], 7);
}

static void expect_salt(enum event_type type, struct slice agency, const char *expected)
{
    char text[65];
    struct identity_salt salt = identity_salt_of(type, agency);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", salt.bytes[i]);
    assert_string_equal(text, expected);
}

static void an_identity_is_a_hash_of_type_agency_and_event_id(void **state)
{
    (void)state;
    expect_salt(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), "3d09fa88f9ce407d0754aaeb603d701c81473d16249aeb9e137792abbb4a65ce");
    expect_salt(EVENT_UNIT_MERGER, TEXT("so-noi-vu"), "18e51525c1e2314c112d3bcb8700603141d097737f2b9882f905dad4aeeaddcd");
    struct event_id id =
        event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-2020-0017"));
    struct identity_salt salt = identity_salt_of(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"));
    struct identity identity = identity_of(id, &salt);
    static const uint8_t expected[16] = {0x70, 0xf4, 0x59, 0x92, 0x13, 0xb4, 0xf0, 0xc5, 0x85, 0xe3, 0x16, 0x19, 0x54, 0xb5, 0x23, 0x15};
    assert_memory_equal(identity.bytes, expected, 16);
}

/* Two agencies of one lane: from the one's salt and identity nobody can tell which event id the other would need. */
static void no_event_id_can_be_made_to_meet_another_agencys_identity(void **state)
{
    (void)state;
    struct identity_salt mine = identity_salt_of(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"));
    struct identity_salt theirs = identity_salt_of(EVENT_HEADCOUNT_CHANGE, TEXT("kien-an"));
    struct event_id id = {{1, 2, 3}}, crafted = id;
    for (int i = 0; i < 16; i++)
        crafted.bytes[i] ^= mine.bytes[i] ^ theirs.bytes[i];
    struct identity victim = identity_of(id, &mine), attack = identity_of(crafted, &theirs);
    assert_memory_not_equal(victim.bytes, attack.bytes, sizeof victim.bytes);
}

static struct event headcount(void)
{
    return (struct event){.type = EVENT_HEADCOUNT_CHANGE,
                          .occurred_at_ms = 1604020500000,
                          .event_id = {{1}},
                          .source = TEXT("hong-bang"),
                          .agency = TEXT("hong-bang"),
                          .decision = TEXT("1234/QĐ-UBND"),
                          .effective_date = date_from_civil(2020, 10, 30),
                          .headcount = {SECTOR_ADMINISTRATIVE, REASON_RETIRED, -3}};
}

static struct event merger(void)
{
    return (struct event){
        .type = EVENT_UNIT_MERGER,
        .source = TEXT("so-noi-vu"),
        .agency = TEXT("so-noi-vu"),
        .effective_date = date_from_civil(2020, 1, 1),
        .merger = {.category = CATEGORY_COMMUNE, .kind = KIND_MERGER, .units_before = 9, .units_after = 3}};
}

static void digests_have_the_values_that_are_stored(void **state)
{
    (void)state;
    struct event event = headcount();
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0x9f38e05b87030d6e));
    event.decision = (struct slice){0};
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0xe497593f048e16ab));
    char source[65]; /* up to 64 bytes are gathered in another way */
    memset(source, 'a', sizeof source);
    event.source = (struct slice){source, 64};
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0xa18b56e67b99e239));
    event.source = (struct slice){source, 65};
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0xd533a3da6687d992));
    event = headcount();
    event.has_reverses = true;
    event.reverses = event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-2020-0017"));
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0x31f38c288207e109));

    event = merger();
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0x35e46e25efd789e1));
    struct unit merged[9], resulting[3];
    char texts[12][2][32];
    for (int i = 0; i < 12; i++) {
        struct unit *unit = i < 9 ? &merged[i] : &resulting[i - 9];
        snprintf(texts[i][0], 32, i < 9 ? "xa-%d" : "r-%d", i < 9 ? i : i - 9);
        snprintf(texts[i][1], 32, i < 9 ? "Xã số %d" : "Phường số %d", i < 9 ? i : i - 9);
        *unit = (struct unit){slice_of(texts[i][0]), slice_of(texts[i][1])};
    }
    event.merger.merged_units = merged;
    event.merger.merged_count = 9;
    event.merger.resulting_units = resulting;
    event.merger.resulting_count = 3;
    event.merger.pilot_model = TEXT("mo-hinh-1");
    event.merger.district = TEXT("hong-bang");
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0x494ece91f8fa6271));
}

static void a_digest_of_53646_bytes_is_streamed_to_the_same_value(void **state)
{
    (void)state;
    static struct unit units[200];
    static char ids[200][8], name[256];
    memset(name, 'n', sizeof name);
    for (int i = 0; i < 200; i++) {
        snprintf(ids[i], sizeof ids[i], "u%03d", i);
        units[i] = (struct unit){slice_of(ids[i]), {name, sizeof name}};
    }
    struct event event = {.type = EVENT_UNIT_MERGER,
                          .source = TEXT("s"),
                          .merger = {.kind = KIND_CORRECTION,
                                     .units_before = 200,
                                     .units_after = 1,
                                     .merged_count = 200,
                                     .merged_units = units}};
    assert_int_equal(event_meaning_digest(&event), UINT64_C(0xfdc14ad55ab266eb));
}

static void every_field_but_those_of_the_identity_and_occurred_at_is_meaning(void **state)
{
    (void)state;
    struct event event = headcount();
    uint64_t digest = event_meaning_digest(&event);
    event.occurred_at_ms++;
    event.event_id.bytes[3] ^= 1;
    event.agency = TEXT("le-chan");
    assert_int_equal(event_meaning_digest(&event), digest);
#define CHANGES(original, statement)                                                                                   \
    do {                                                                                                               \
        struct event changed = original();                                                                             \
        uint64_t before = event_meaning_digest(&changed);                                                              \
        statement;                                                                                                     \
        assert_int_not_equal(event_meaning_digest(&changed), before);                                                  \
    } while (0)
    struct unit unit = {TEXT("a"), TEXT("bc")}, other = {TEXT("ab"), TEXT("c")};
    CHANGES(headcount, changed.source = TEXT("hong-ban"));
    CHANGES(headcount, changed.effective_date++);
    CHANGES(headcount, changed.decision = (struct slice){0});
    CHANGES(headcount, changed.has_reverses = true);
    CHANGES(headcount, changed.headcount.sector = SECTOR_COMMUNE);
    CHANGES(headcount, changed.headcount.reason = REASON_RESIGNED);
    CHANGES(headcount, changed.headcount.delta = -4);
    CHANGES(merger, changed.merger.category = CATEGORY_CITY_AGENCY);
    CHANGES(merger, changed.merger.kind = KIND_DISSOLUTION);
    CHANGES(merger, changed.merger.units_before++);
    CHANGES(merger, changed.merger.units_after++);
    CHANGES(merger, (changed.merger.merged_count = 1, changed.merger.merged_units = &unit));
    CHANGES(merger, (changed.merger.resulting_count = 1, changed.merger.resulting_units = &unit));
    CHANGES(merger, changed.merger.pilot_model = TEXT("a"));
    CHANGES(merger, changed.merger.district = TEXT("a"));
    struct event one = merger(), two = merger();
    one.merger.merged_count = two.merger.merged_count = 1;
    one.merger.merged_units = &unit;
    two.merger.merged_units = &other;
    assert_int_not_equal(event_meaning_digest(&one), event_meaning_digest(&two));
    two = one;
    two.merger.merged_count = 0;
    two.merger.resulting_count = 1;
    two.merger.resulting_units = &unit;
    assert_int_not_equal(event_meaning_digest(&one), event_meaning_digest(&two));
}

static void murmur2_is_that_of_kafkas_java_client(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } table[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107},
                 {"1", -1993445489},
                 {"12", 126087238},
                 {"123", -267702483},
                 {"1234", -1614185708},
                 {"12345", -1188365604},
                 {"", 275646681}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(murmur2_positive(slice_of(table[i].text)), (uint32_t)table[i].hash & 0x7fffffff);
    assert_int_equal(lane_of_agency(TEXT("hong-bang")), 54);
    assert_int_equal(lane_of_agency(TEXT("so-noi-vu")), 2);
    static const char high[] = "\xff\x80\xfe\xc3\xa9\x81\xf0"; /* bytes are unsigned in the tail too */
    assert_int_equal(murmur2_positive((struct slice){high, 7}), 40370);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_id_is_a_uuid5_of_type_source_agency_and_id),
        cmocka_unit_test(ids_are_written_in_lower_case_and_read_in_either),
        cmocka_unit_test(no_event_id_can_be_made_to_meet_another_agencys_identity),
        cmocka_unit_test(an_identity_is_a_hash_of_type_agency_and_event_id),
        cmocka_unit_test(digests_have_the_values_that_are_stored),
        cmocka_unit_test(a_digest_of_53646_bytes_is_streamed_to_the_same_value),
        cmocka_unit_test(every_field_but_those_of_the_identity_and_occurred_at_is_meaning),
        cmocka_unit_test(murmur2_is_that_of_kafkas_java_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
