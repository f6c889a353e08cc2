/* gateway-load: posts headcount events to a gateway over kept-alive connections, each with one request on its way, and prints what
 * the clients saw. One thread: it has to be cheaper than what it measures. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MOST = 256, HEAD_ROOM = 1024, ANSWER_ROOM = 4 << 20, AGENCIES = 200, WAIT_MS = 60000, ID_DIGITS = 8, AGENCY_DIGITS = 3 };

#define EVENT_BEFORE_ID "{\"type\":\"headcount-change\",\"id\":\"HB-2020-"
#define EVENT_BEFORE_AGENCY "\",\"agency\":\"agency-"
#define EVENT_REST                                                                                                                   \
    "\",\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3,\"effective_date\":\"2020-10-30\",\"occurred_at\":"           \
    "\"2020-10-30T08:15:00+07:00\"}\n"
enum { EVENT_SIZE = sizeof EVENT_BEFORE_ID + ID_DIGITS + sizeof EVENT_BEFORE_AGENCY + AGENCY_DIGITS + sizeof EVENT_REST - 3 };

struct connection {
    int socket;
    char *request, *answer;
    size_t size, sent, got, wanted; /* wanted: bytes of the whole answer; 0 = not known yet */
    int64_t began_ns;
    bool waits_to_send;
};

static const char *token;
static int64_t batch, total, next_event, answered, refused;
static uint32_t *latencies_us;
static size_t latency_count;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static char *put_text(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

static char *put_digits(char *at, int64_t number, int digits)
{
    for (int i = digits; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + digits;
}

/* Without printf: at 100 events a request the client would be mostly that. */
static char *put_event(char *at, int64_t number)
{
    at = put_text(at, EVENT_BEFORE_ID, sizeof EVENT_BEFORE_ID - 1);
    at = put_digits(at, number, ID_DIGITS);
    at = put_text(at, EVENT_BEFORE_AGENCY, sizeof EVENT_BEFORE_AGENCY - 1);
    at = put_digits(at, number % AGENCIES, AGENCY_DIGITS);
    return put_text(at, EVENT_REST, sizeof EVENT_REST - 1);
}

static bool make_request(struct connection *connection)
{
    int64_t count = total - next_event < batch ? total - next_event : batch;
    if (count <= 0)
        return false;
    char *at = connection->request;
    at += sprintf(at, "POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                  token, batch == 1 ? "application/json" : "application/x-ndjson", (size_t)count * EVENT_SIZE);
    for (int64_t i = 0; i < count; i++)
        at = put_event(at, next_event++);
    connection->size = (size_t)(at - connection->request);
    connection->sent = connection->got = connection->wanted = 0;
    connection->began_ns = now_ns();
    return true;
}

static void fail(const char *what)
{
    fprintf(stderr, "gateway-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* True when the answer is complete. */
static bool read_answer(struct connection *connection)
{
    ssize_t more = recv(connection->socket, connection->answer + connection->got, ANSWER_ROOM - 1 - connection->got, MSG_DONTWAIT);
    if (more == 0 || (more < 0 && errno != EAGAIN))
        fail("the gateway closed a connection");
    if (more < 0)
        return false;
    connection->got += (size_t)more;
    connection->answer[connection->got] = '\0';
    if (!connection->wanted) {
        const char *end = strstr(connection->answer, "\r\n\r\n"), *length = strcasestr(connection->answer, "\r\nContent-Length:");
        if (end && length)
            connection->wanted = (size_t)(end + 4 - connection->answer) + strtoul(length + 17, NULL, 10);
    }
    return connection->wanted && connection->got >= connection->wanted;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void open_connection(struct connection *connection, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    connection->request = malloc(HEAD_ROOM + (size_t)batch * EVENT_SIZE);
    connection->answer = malloc(ANSWER_ROOM);
}

/* What the socket does not take is sent when it does. */
static void send_more(int poll, struct connection *connection)
{
    ssize_t more = send(connection->socket, connection->request + connection->sent, connection->size - connection->sent,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (more < 0 && errno != EAGAIN)
        fail("send");
    connection->sent += more > 0 ? (size_t)more : 0;
    bool left = connection->sent < connection->size;
    struct epoll_event event = {.events = EPOLLIN | (left ? EPOLLOUT : 0U), .data.ptr = connection};
    if (left != connection->waits_to_send)
        epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event);
    connection->waits_to_send = left;
}

/* The next step of a connection that something can be done on. */
static void step(int poll, struct connection *connection)
{
    if (connection->waits_to_send) {
        send_more(poll, connection);
        return;
    }
    if (!read_answer(connection))
        return;
    latencies_us[latency_count++] = (uint32_t)((now_ns() - connection->began_ns) / 1000);
    *(strncmp(connection->answer, "HTTP/1.1 200", 12) == 0 ? &answered : &refused) += 1;
    if (strncmp(connection->answer, "HTTP/1.1 200", 12) != 0)
        fprintf(stderr, "%.300s\n", connection->answer);
    if (make_request(connection))
        send_more(poll, connection);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MOST];
    static struct epoll_event events[CONNECTIONS_MOST];
    if (argc != 6) {
        fprintf(stderr, "Usage: gateway-load PORT TOKEN CONNECTIONS BATCH EVENTS\n");
        return 2;
    }
    token = argv[2];
    int count = atoi(argv[3]);
    batch = atoll(argv[4]);
    total = atoll(argv[5]);
    if (count < 1 || count > CONNECTIONS_MOST || batch < 1 || batch > 10000 || total < 1)
        return 2;
    latencies_us = malloc((size_t)(total / batch + 2) * sizeof *latencies_us);
    int poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        open_connection(&connections[i], argv[1]);
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &connections[i]});
    }
    int64_t began = now_ns();
    for (int i = 0; i < count; i++)
        if (make_request(&connections[i]))
            send_more(poll, &connections[i]);
    while (answered + refused < (total + batch - 1) / batch) {
        int ready = epoll_wait(poll, events, CONNECTIONS_MOST, WAIT_MS);
        if (ready <= 0)
            fail("no answer within a minute");
        for (int i = 0; i < ready; i++)
            step(poll, events[i].data.ptr);
    }
    double seconds = (double)(now_ns() - began) * 1e-9;
    qsort(latencies_us, latency_count, sizeof *latencies_us, compare);
    printf("%.3f seconds %" PRId64 " requests %" PRId64 " other-than-200 %" PRIu32 " p50-us %" PRIu32 " p99-us\n", seconds, answered,
           refused, latencies_us[latency_count / 2], latencies_us[latency_count * 99 / 100]);
    return refused ? 1 : 0;
}
