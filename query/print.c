/* `citytotals-query print`: reads the totals once or again and again, and writes them as text or JSON. */
#include "query/print.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "base/redis.h"
#include "query/lag.h"
#include "query/screen.h"
#include "query/text.h"

/* Redis and Kafka are given this long; then the totals are stale, the lag unknown. */
enum { CONNECT_MS = 5000, COMMAND_MS = 5000, LAG_MS = 5000, LAG_WATCH_MS = 1000, LAG_PAUSE_MS = 10000 };

struct print {
    struct print_options options;
    struct redis *redis;
    struct lag *lag; /* NULL without --brokers */
    int64_t lag_due_ms, lag_bound_ms;
    bool lag_failed;
    struct totals totals; /* the latest that Redis gave */
    bool has_totals;
    int64_t read_ms; /* when, on the monotonic clock */
    char reason[ERROR_TEXT_SIZE]; /* why they are stale */
    struct buffer out, shown;     /* shown: what was written last, without the time of reading */
};

static volatile sig_atomic_t stop_signal, suspend_signal;
static volatile int redis_socket = -1;
static int wake_pipe[2] = {-1, -1};

/* Ends a wait: for the next turn by the pipe, for a Redis that does not answer by closing the way to it. */
static void on_signal(int number)
{
    int saved = errno;
    if (number == SIGTSTP)
        suspend_signal = 1;
    else if (number != SIGWINCH && number != SIGCONT)
        stop_signal = number;
    if (stop_signal && redis_socket >= 0)
        shutdown(redis_socket, SHUT_RDWR);
    ssize_t ignored = write(wake_pipe[1], "", 1); /* full: a wake-up is waiting already */
    (void)ignored;
    errno = saved;
}

static void redis_drop(struct print *print)
{
    print->redis = redis_free(print->redis);
}

static int redis_open(struct print *print, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    if (print->redis)
        return 0;
    redis_key(key, print->options.common.city, snapshot_hash_suffix(SNAPSHOT_TOTALS));
    return redis_connect(
        &(struct redis_options){.place = print->options.common.redis,
                                .route_key = key,
                                .connect_timeout_ms = CONNECT_MS,
                                .command_timeout_ms = COMMAND_MS,
                                .socket = &redis_socket},
        &print->redis, error);
}

/* The lag is beside the totals: where Kafka can't be asked they are shown without. */
static void add_lag(struct print *print, const struct snapshot *snapshot, struct totals *totals)
{
    struct error error = {0};
    if (!print->lag || clock_monotonic_ms() < print->lag_due_ms)
        return;
    int result = lag_read(print->lag, snapshot, totals->city, print->lag_bound_ms, &stop_signal, &totals->lag, &error);
    totals->has_lag = result >= 0;
    if (result < 0 && !stop_signal) {
        if (!print->lag_failed)
            log_warning("the lag is not known: %s", error.text);
        print->lag_due_ms = clock_monotonic_ms() + LAG_PAUSE_MS;
    } else if (print->lag_failed) {
        log_info("the lag is known again");
    }
    print->lag_failed = result < 0;
    if (print->options.watch)
        print->lag_bound_ms = LAG_WATCH_MS;
}

static int read_totals(struct print *print, struct error *error)
{
    const struct print_options *options = &print->options;
    bool by_date = options->as_of != INT32_MIN;
    struct snapshot snapshot = {0};
    struct totals totals = {0};
    int result = redis_open(print, error);
    if (result >= 0)
        result = snapshot_read(print->redis, options->common.city, by_date ? SNAPSHOT_FOR_DATE : SNAPSHOT_FOR_NOW,
                               &snapshot, error);
    if (result < 0)
        redis_drop(print);
    if (result >= 0)
        result = totals_make(&snapshot, options->common.city, options->as_of, &totals, error);
    if (result >= 0) {
        print->read_ms = clock_monotonic_ms();
        add_lag(print, &snapshot, &totals);
        totals_free(&print->totals);
        print->totals = totals;
        print->has_totals = true;
    }
    snapshot_free(&snapshot);
    return result;
}

static int render(const struct print *print, bool colour, struct buffer *out, struct error *error)
{
    buffer_reset(out);
    if (print->options.format == PRINT_FORMAT_JSON)
        return totals_json(&print->totals, out, error);
    totals_text(&print->totals,
                &(struct text_style){.language = (enum language)print->options.language,
                                     .colour = colour,
                                     .lag_asked = print->lag,
                                     .stale_age_ms = clock_monotonic_ms() - print->read_ms,
                                     .stale_reason = print->reason},
                out);
    return buffer_failed(out) ? error_set(error, ERROR_LIMIT, "the totals as text are over %zu bytes", out->bound) : 0;
}

static int write_out(const char *data, size_t size, struct error *error)
{
    while (size > 0) {
        ssize_t count = write(STDOUT_FILENO, data, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set(error, ERROR_IO, "write the totals: %s", strerror(errno));
        data += count;
        size -= (size_t)count;
    }
    return 0;
}

static int print_once(struct print *print, struct error *error)
{
    int result = read_totals(print, error);
    if (result >= 0)
        result = render(print, screen_has_colour(), &print->out, error);
    return result < 0 ? result : write_out(print->out.data, print->out.size, error);
}

/* What was seen last stands, marked stale, until Redis can be read again. */
static int refresh(struct print *print, struct error *error)
{
    struct error why = {0};
    int result = read_totals(print, &why);
    if (result >= 0) {
        if (print->reason[0])
            log_info("redis can be read again");
        print->reason[0] = '\0';
        return 0;
    }
    if (stop_signal)
        return 0;
    if (!print->has_totals) {
        *error = why;
        return result;
    }
    if (!print->totals.stale)
        log_warning("%s; trying again", why.text);
    print->totals.stale = true;
    snprintf(print->reason, sizeof print->reason, "%s", why.text);
    return 0;
}

/* A new block or line when anything but the time of reading is new. */
static int show_change(struct print *print, struct error *error)
{
    struct totals timeless = print->totals;
    timeless.read_at_ms = 0;
    buffer_reset(&print->out);
    int result = totals_json(&timeless, &print->out, error);
    if (result < 0)
        return result;
    bool first = print->shown.size == 0;
    if (!first && slice_equal((struct slice){print->out.data, print->out.size},
                              (struct slice){print->shown.data, print->shown.size}))
        return 0;
    struct buffer swap = print->shown;
    print->shown = print->out;
    print->out = swap;
    if ((result = render(print, screen_has_colour(), &print->out, error)) < 0)
        return result;
    if (!first && print->options.format == PRINT_FORMAT_TEXT && (result = write_out("\n", 1, error)) < 0)
        return result;
    return write_out(print->out.data, print->out.size, error);
}

static int show_frame(struct print *print, struct error *error)
{
    enum language language = (enum language)print->options.language;
    int result = render(print, screen_has_colour(), &print->out, error);
    if (result < 0)
        return result;
    const char *text = buffer_text(&print->out);
    if (!text)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (screen_draw(text, text_word(language, WORD_QUIT), text_word(language, WORD_MORE_LINES)) < 0)
        return error_set(error, ERROR_IO, "write the totals: %s", strerror(errno));
    return 0;
}

/* Until the interval is over, a signal comes, or q is typed. */
static void wait_interval(const struct print *print, bool *keys)
{
    struct pollfd files[] = {{.fd = wake_pipe[0], .events = POLLIN}, {.fd = *keys ? STDIN_FILENO : -1, .events = POLLIN}};
    char bytes[64];
    if (poll(files, 2, (int)print->options.interval_ms) <= 0)
        return;
    if (files[0].revents && read(wake_pipe[0], bytes, sizeof bytes) < 0)
        return;
    if (files[1].revents) {
        ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
        *keys = count > 0 || (count < 0 && errno == EINTR); /* else nobody is there to type */
        if (count > 0 && memchr(bytes, 'q', (size_t)count))
            stop_signal = SIGINT;
    }
}

/* As Ctrl-Z wants it; true when keys can be read afterwards. */
static bool suspend(bool on_screen)
{
    suspend_signal = 0;
    if (on_screen)
        screen_leave();
    raise(SIGSTOP);
    return on_screen && screen_enter();
}

static int watch_loop(struct print *print, bool on_screen, struct error *error)
{
    int result = 0;
    bool first = true, keys = false;
    while (!stop_signal && result >= 0) {
        if ((result = refresh(print, error)) < 0 || stop_signal)
            break;
        if (on_screen && first)
            keys = screen_enter();
        first = false;
        result = on_screen ? show_frame(print, error) : show_change(print, error);
        if (result >= 0 && !stop_signal && !suspend_signal)
            wait_interval(print, &keys);
        if (suspend_signal)
            keys = suspend(on_screen);
    }
    return result;
}

static int print_watch(struct print *print, struct error *error)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH, SIGCONT};
    if (pipe(wake_pipe) < 0 || fcntl(wake_pipe[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK) < 0)
        return error_set(error, ERROR_IO, "make a pipe: %s", strerror(errno));
    bool on_screen = print->options.format == PRINT_FORMAT_TEXT && screen_is_possible();
    struct sigaction action = {.sa_handler = on_signal}, before;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i] != SIGHUP || (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)) /* nohup */
            sigaction(signals[i], &action, NULL);
    if (on_screen && isatty(STDERR_FILENO))
        log_configure(LOG_LEVEL_ERROR, (enum log_format)print->options.common.log_format); /* the screen tells it */
    int result = watch_loop(print, on_screen, error);
    if (on_screen) {
        screen_leave();
        bool shown = result >= 0 && print->has_totals && stop_signal != SIGHUP; /* what was seen last stays to be seen */
        if (shown && (result = render(print, screen_has_colour(), &print->out, error)) >= 0)
            result = write_out(print->out.data, print->out.size, error);
    }
    /* A reader that has left has seen enough. */
    return result == -ERROR_IO && errno == EPIPE ? 0 : result;
}

int query_print(int argc, char **argv)
{
    struct print print = {.lag_bound_ms = LAG_MS, .out = BUFFER_BOUNDED(TEXT_MOST), .shown = BUFFER_BOUNDED(TEXT_MOST)};
    struct program_run frame;
    int begun = program_begin(&frame, &query_command_print, argc, argv, &print.options), result = begun;
    if (begun > 0)
        result = print.options.common.brokers ? lag_open(&print.options.common, &print.lag, &frame.error) : 0;
    if (begun > 0 && result >= 0)
        result = print.options.watch ? print_watch(&print, &frame.error) : print_once(&print, &frame.error);
    print.lag = lag_close(print.lag);
    redis_drop(&print);
    totals_free(&print.totals);
    buffer_free(&print.out);
    buffer_free(&print.shown);
    return program_end(&frame, result);
}
