/* The terminal under --watch: alternate screen, one write a frame, restored in any case. */
#include "query/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"

enum { ROWS_OTHERWISE = 24, FRAME_MOST = 1 << 20 };

static volatile bool entered, keys_changed;
static struct termios keys_before;

bool screen_is_possible(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool screen_has_colour(void)
{
    const char *refused = getenv("NO_COLOR");
    return screen_is_possible() && (!refused || !*refused);
}

static int write_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = write(STDOUT_FILENO, data, size);
        if (count < 0 && errno != EINTR)
            return -ERROR_IO;
        if (count > 0) {
            data += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

bool screen_enter(void)
{
    static const char start[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
    /* A job in the background would be stopped for touching the terminal's settings. */
    if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &keys_before) == 0) {
        struct termios keys = keys_before;
        keys.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
        keys_changed = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    entered = true;
    write_all(start, sizeof start - 1);
    return keys_changed;
}

void screen_leave(void)
{
    static const char end[] = "\033[?7h\033[?25h\033[?1049l";
    if (!entered)
        return;
    entered = false;
    write_all(end, sizeof end - 1);
    if (keys_changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &keys_before);
    keys_changed = false;
}

int screen_draw(const char *text, const char *status, const char *more)
{
    struct winsize size = {0};
    int rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : ROWS_OTHERWISE;
    struct buffer frame = BUFFER_BOUNDED(FRAME_MOST);
    int row = 1, left = 0;
    buffer_text_append(&frame, "\033[H");
    for (const char *line = text, *end; *line; line = end + (*end == '\n')) {
        end = line + strcspn(line, "\n");
        if (row < rows) {
            buffer_append(&frame, line, (size_t)(end - line));
            buffer_text_append(&frame, "\033[K\n");
            row++;
        } else {
            left++;
        }
    }
    buffer_text_append(&frame, "\033[J");
    buffer_printf(&frame, "\033[%d;1H\033[2m", rows);
    if (left)
        buffer_printf(&frame, "… %d %s · ", left, more);
    buffer_printf(&frame, "%s\033[0m\033[K", status);
    int result = buffer_failed(&frame) ? 0 : write_all(frame.data, frame.size);
    buffer_free(&frame);
    return result;
}
