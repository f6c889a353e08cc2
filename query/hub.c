/* The hub of server-sent events. */
#include "query/hub.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_SIZE = 160, RETRY_LEAST_MS = 2000, RETRY_MORE_MS = 3000, MESSAGE_MOST = 1 << 20 };

struct message {
    atomic_size_t references;
    char id[HUB_ID_SIZE];
    size_t size;
    char bytes[];
};

struct hub {
    pthread_mutex_t lock;
    struct message *ring[HUB_RING]; /* number n at n % HUB_RING */
    uint64_t next;                  /* number of the next message */
    uint64_t beats;
    bool ending;
    atomic_size_t clients;
    uint64_t random;
};

struct client {
    struct hub *hub;
    struct message *message; /* being sent */
    uint64_t next, beats;
    bool goodbye;
    uint8_t text_size;
    char text[TEXT_SIZE]; /* goes before the next message */
};

static void message_unref(struct message *message)
{
    if (message && atomic_fetch_sub(&message->references, 1) == 1)
        free(message);
}

struct hub *hub_new(void)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub)
        pthread_mutex_init(&hub->lock, NULL);
    return hub;
}

struct hub *hub_free(struct hub *hub)
{
    if (!hub)
        return NULL;
    for (size_t i = 0; i < HUB_RING; i++)
        message_unref(hub->ring[i]);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
    return NULL;
}

bool hub_publish(struct hub *hub, const char *id, struct slice data)
{
    struct buffer text = BUFFER_BOUNDED(MESSAGE_MOST);
    buffer_printf(&text, "id: %s\nevent: totals\ndata: ", id);
    buffer_slice_append(&text, data);
    buffer_text_append(&text, "\n\n");
    struct message *message = buffer_failed(&text) ? NULL : malloc(sizeof *message + text.size);
    if (message) {
        atomic_init(&message->references, 1);
        snprintf(message->id, sizeof message->id, "%s", id);
        message->size = text.size;
        memcpy(message->bytes, text.data, text.size);
    }
    buffer_free(&text);
    if (!message)
        return false;
    pthread_mutex_lock(&hub->lock);
    struct message **place = &hub->ring[hub->next++ % HUB_RING];
    struct message *old = *place;
    *place = message;
    pthread_mutex_unlock(&hub->lock);
    message_unref(old);
    return true;
}

void hub_beat(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->beats++;
    pthread_mutex_unlock(&hub->lock);
}

void hub_end(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->ending = true;
    pthread_mutex_unlock(&hub->lock);
}

size_t hub_clients(struct hub *hub)
{
    return atomic_load(&hub->clients);
}

static void say(struct client *client, const char *text)
{
    client->text_size = (uint8_t)snprintf(client->text, sizeof client->text, "%s", text);
}

/* Under the hub's lock: what the client gets next; false when there is nothing now. */
static bool take_next(struct client *client)
{
    struct hub *hub = client->hub;
    if (hub->ending) {
        client->goodbye = true;
        say(client, "event: goodbye\ndata: {}\n\n");
        return true;
    }
    if (client->next < hub->next) {
        if (hub->next - client->next > HUB_RING) /* each message is a whole state: what was missed is in the latest */
            client->next = hub->next - 1;
        client->message = hub->ring[client->next++ % HUB_RING];
        atomic_fetch_add(&client->message->references, 1);
        client->beats = hub->beats;
        return true;
    }
    if (client->beats != hub->beats) {
        client->beats = hub->beats;
        say(client, ": heartbeat\n\n");
        return true;
    }
    return false;
}

static ssize_t client_next(void *state, const char **ret_bytes)
{
    struct client *client = state;
    message_unref(client->message); /* what was given last has been sent */
    client->message = NULL;
    if (client->text_size == 0) {
        if (client->goodbye)
            return -1;
        pthread_mutex_lock(&client->hub->lock);
        bool something = take_next(client);
        pthread_mutex_unlock(&client->hub->lock);
        if (!something)
            return 0;
    }
    *ret_bytes = client->text_size ? client->text : client->message->bytes;
    size_t size = client->text_size ? client->text_size : client->message->size;
    client->text_size = 0;
    return (ssize_t)size;
}

static void client_free(void *state)
{
    struct client *client = state;
    atomic_fetch_sub(&client->hub->clients, 1);
    message_unref(client->message);
    free(client);
}

/* Under the hub's lock: the place after the latest message with this id; false when the ring has none. */
static bool find_id(const struct hub *hub, const char *id, uint64_t *ret_next)
{
    uint64_t oldest = hub->next > HUB_RING ? hub->next - HUB_RING : 0;
    for (uint64_t n = hub->next; n-- > oldest;)
        if (strcmp(hub->ring[n % HUB_RING]->id, id) == 0) {
            *ret_next = n + 1;
            return true;
        }
    return false;
}

struct http_response *hub_stream(struct hub *hub, const char *last_id)
{
    static const struct http_stream stream = {client_next, client_free};
    struct client *client = calloc(1, sizeof *client);
    char text[TEXT_SIZE];
    if (!client)
        return NULL;
    client->hub = hub;
    atomic_fetch_add(&hub->clients, 1);
    pthread_mutex_lock(&hub->lock);
    bool resync = last_id && !find_id(hub, last_id, &client->next);
    if (resync || !last_id)
        client->next = hub->next ? hub->next - 1 : 0;
    client->beats = hub->beats;
    hub->random = hub->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    unsigned jitter = (unsigned)(hub->random >> 33) % RETRY_MORE_MS; /* so that not all come back at once */
    pthread_mutex_unlock(&hub->lock);
    snprintf(text, sizeof text, "retry: %u\n\n%s", RETRY_LEAST_MS + jitter,
             resync ? "event: resync\ndata: {\"reason\":\"the id given is not known here\"}\n\n" : "");
    say(client, text);
    struct http_response *response = http_response_stream(200, "text/event-stream", &stream, client);
    response = http_response_header(response, "Cache-Control", "no-store");
    return http_response_header(response, "X-Accel-Buffering", "no");
}
