/* `citytotals-producer token new`: a token for an agency's system, and its line for the gateway's file. */
#include "producer/token.h"

#include <openssl/rand.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/log.h"
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
    struct settings *settings = NULL;
    struct error error = {0};
    char **operands = NULL;
    int operand_count = 0;
    bool done = false;
    int result = settings_parse(&producer_command_token, argc, argv, &options, &settings, &operands, &operand_count, &done, &error);
    if (result < 0 || done)
        goto finish;
    if (operand_count != 1 || strcmp(operands[0], "new") != 0)
        result = error_set(&error, ERROR_USAGE, "say what to do: `token new`");
    else
        result = make(&options, &error);
finish:
    if (result < 0)
        log_error("citytotals-producer: %s", error.text);
    settings_free(settings);
    return result < 0 ? error_exit_status(error.code) : 0;
}
