/* One request's events, judged whole before any is sent: each record good and encoded, a repeat, or refused with its errors.
 * The same parser, rules and search for repeats as files have. Pure; one thread at a time. */
#ifndef CITYTOTALS_PRODUCER_INGEST_H
#define CITYTOTALS_PRODUCER_INGEST_H

#include "producer/body.h"
#include "producer/credentials.h"
#include "producer/message.h"
#include "producer/problem.h"

enum {
    INGEST_RECORDS_MOST = 10000,
    INGEST_ERRORS_BYTES_MOST = 1024 * 1024, /* of all refused records' errors as JSON; past it only their number is told */
};

enum record_state { RECORD_GOOD, RECORD_REPEAT, RECORD_REFUSED };

struct ingest_record {
    enum record_state state;
    enum event_type type;
    struct event_id event_id;
    uint64_t line;
    uint32_t earlier;                /* of a repeat: the number of the record that it repeats */
    uint32_t value_at, value_size;   /* in `bytes`, of a good one */
    uint32_t key_at, key_size;
    uint32_t errors_at, errors_size; /* in `errors`: a JSON array, of a refused one; size 0 when there was no room */
    /* Kafka's verdict, once it is there */
    int32_t partition;
    int64_t offset;
};

/* What one request becomes. It does not point into the request. */
struct ingested {
    struct ingest_record *records;
    size_t count, capacity, refused, repeats;
    struct buffer bytes, errors;
    bool single, by_line; /* by_line: records are lines, not elements of an array */
    bool dry;             /* nothing is sent: the answer says which records would be taken */
};

/* Why nothing of a request is taken: an HTTP status, a sentence, and what is wrong where. */
struct ingest_refusal {
    unsigned status;
    char detail[ERROR_TEXT_SIZE];
    uint64_t line; /* of the problems; 0 = none */
    struct problems problems;
};

enum ingest_form { INGEST_JSON, INGEST_NDJSON, INGEST_CSV, INGEST_CLOUDEVENT, INGEST_CLOUDEVENTS, INGEST_CLOUDEVENT_BINARY };

struct ingest_request {
    enum ingest_form form;
    struct slice body;
    const struct credential *credential;
    struct slice idempotency_key; /* data NULL: none. The id of a single event that has none */
    /* of INGEST_CLOUDEVENT_BINARY: the headers as they came; data NULL: none */
    struct slice ce_specversion, ce_id, ce_source, ce_type, ce_time;
    int64_t now_ms;
};

struct ingest;
/* schema_ids: as message_maker_new has them; kept. */
int ingest_new(const int64_t *schema_ids, struct ingest **ret_ingest, struct error *error);
struct ingest *ingest_free(struct ingest *ingest);
/* 0 and a zeroed-before `ingested` that is filled, or -ERROR_INPUT and the refusal (status 400, 403, 413, 422), or
 * -ERROR_MEMORY. Whatever it returns, the caller frees `ingested`. */
int ingest_judge(struct ingest *ingest, const struct ingest_request *request, struct ingested *ret_ingested,
                 struct ingest_refusal *ret_refusal, struct error *error);
/* A page visit, as the one good record of an `ingested` that was zeroed before; the caller frees it, whatever this returns. */
int ingest_make_visit(struct ingest *ingest, const struct event *visit, struct ingested *ret_ingested, struct error *error);
void ingested_free(struct ingested *ingested);
/* A good record as Kafka takes it, valid as long as `ingested`. */
struct message ingested_message(const struct ingested *ingested, const struct ingest_record *record);

/* The answer: {"accepted":…,"repeats":…,"refused":…,"records":[…]}, when every good record has its verdict; of a dry run "valid"
 * stands for "accepted", and "dry_run" before it. */
void ingested_write(const struct ingested *ingested, const char *city, struct buffer *out);

#endif
