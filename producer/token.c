/* `citytotals-producer token new`: a token for an agency's system, and its line for the gateway's file. */
#include "producer/token.h"

#include <openssl/rand.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/program.h"
#include "producer/credentials.h"
#include "producer/settings.h"

enum { LINE_SIZE_MOST = 128 * 1024 };

static int make(const struct token_options *options, struct error *error)
{
    uint8_t bytes[TOKEN_BYTES];
    char token[TOKEN_TEXT_SIZE];
    struct buffer line = BUFFER_BOUNDED(LINE_SIZE_MOST);
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return error_set(error, ERROR_IO, "the system gives no random bytes");
    token_format(bytes, token);
    int result = credential_line(slice_of(token), options->source, options->agency, options->rate, &line, error);
    if (result >= 0 && (printf("%s\n%s\n", token, buffer_text(&line)) < 0 || fflush(stdout) != 0))
        result = error_set(error, ERROR_IO, "write to standard output: %m");
    if (result >= 0)
        fprintf(stderr, "The first line is the token: it is shown this once and stored nowhere. Give it to the agency by a safe way.\n"
                        "The second line is for the gateway's --tokens file.\n");
    buffer_free(&line);
    return result;
}

int producer_token(int argc, char **argv)
{
    struct token_options options = {0};
    struct program_run frame;
    int result = program_begin(&frame, &producer_command_token, argc, argv, &options);
    if (result > 0)
        result = frame.operand_count == 1 && strcmp(frame.operands[0], "new") == 0
                     ? make(&options, &frame.error)
                     : error_set(&frame.error, ERROR_USAGE, "say what to do: `token new`");
    return program_end(&frame, result);
}
