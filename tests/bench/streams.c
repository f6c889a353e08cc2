/* bench-streams HOST PORT COUNT [IDLE]: opens COUNT streams and tells how far apart they hear of an update. The last IDLE of them
 * never read. Prints "ready" when every reading one has its first message; then for each line of standard input
 * "<milliseconds from the first client to the last> <messages>" once all have the next one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, BYTES = 65536 };

struct stream {
    int socket;
    char last; /* the byte before, so that an end of message across two reads is seen */
    long messages;
};

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench-streams: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void open_stream(struct stream *stream, const struct sockaddr_in *address)
{
    static const char request[] = "GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    stream->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (stream->socket < 0 || connect(stream->socket, (const struct sockaddr *)address, sizeof *address) < 0)
        fail("connect");
    if (write(stream->socket, request, sizeof request - 1) < 0)
        fail("write");
    fcntl(stream->socket, F_SETFL, O_NONBLOCK);
}

/* Takes what is there; true when it had a whole message with totals. */
static bool take(struct stream *stream)
{
    static char bytes[BYTES];
    bool whole = false;
    ssize_t count = read(stream->socket, bytes, sizeof bytes);
    if (count == 0)
        fail("a stream was closed");
    if (count < 0)
        return false;
    /* The end of a message's JSON and its empty line; comments and the retry line have no brace before them. */
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' && stream->last == '}')
            whole = true;
        stream->last = bytes[i];
    }
    stream->messages += whole;
    return whole;
}

/* Until each of `count` streams has had one more message; the spread in ms. */
static double await(int poll, struct stream *streams, int count)
{
    struct epoll_event events[EVENTS];
    double first = 0, last = 0;
    long goal = 0;
    int missing = count;
    for (int i = 0; i < count; i++)
        goal = streams[i].messages > goal ? streams[i].messages : goal;
    goal++;
    while (missing > 0) {
        int ready = epoll_wait(poll, events, EVENTS, 60000);
        if (ready <= 0)
            fail("waited 60 s in vain");
        for (int i = 0; i < ready; i++) {
            struct stream *stream = &streams[events[i].data.u32];
            bool before = stream->messages < goal;
            if (!take(stream) || !before || stream->messages < goal)
                continue;
            last = now_ms();
            first = first > 0 ? first : last;
            missing--;
        }
    }
    return last - first;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "Usage: bench-streams HOST PORT COUNT [IDLE]\n");
        return 2;
    }
    int count = atoi(argv[3]), idle = argc > 4 ? atoi(argv[4]) : 0, reading = count - idle, poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    struct rlimit limit;
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct stream *streams = calloc((size_t)count, sizeof *streams);
    if (!streams)
        fail("memory");
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        open_stream(&streams[i], &address);
        if (i < reading && epoll_ctl(poll, EPOLL_CTL_ADD, streams[i].socket, &event) < 0)
            fail("epoll");
    }
    await(poll, streams, reading);
    printf("ready\n");
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        printf("%.1f\n", await(poll, streams, reading));
        fflush(stdout);
    }
    return 0;
}
