/* TLS for hiredis: certificates read anew for each connection, and the node's certificate held against its name. */
#include "base/redis_tls.h"

#ifndef HAVE_HIREDIS_SSL

bool redis_tls_is_there(void)
{
    return false;
}

static int no_tls(struct error *error)
{
    return error_set(error, ERROR_CONFIG, "redis: this build has no TLS for Redis (hiredis 1.0 or newer has it)");
}

int redis_tls_check(const struct redis_place *place, struct error *error)
{
    (void)place;
    return no_tls(error);
}

int redis_tls_start(redisContext *context, const struct redis_place *place, const struct redis_node *node, struct ssl_st **ret_ssl,
                    struct error *error)
{
    (void)context;
    (void)place;
    (void)node;
    (void)ret_ssl;
    return no_tls(error);
}

bool redis_tls_broke(struct ssl_st *ssl, const struct redis_place *place, char *text, size_t size)
{
    (void)ssl;
    (void)place;
    (void)text;
    (void)size;
    return false;
}

#else

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char system_bundle[] = "/etc/ssl/certs/ca-certificates.crt";

/* What was held against the certificate, as the handshake's callback saw it. */
struct verdict {
    int depth;
    char subject[256], names[512];
};

bool redis_tls_is_there(void)
{
    return true;
}

/* The first error of those that OpenSSL has: the others follow from it. */
static const char *first_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = !code ? NULL : ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    return text ? text : "no reason is known";
}

static int bad_file(const char *setting, const char *path, struct error *error)
{
    int result = error_set(error, ERROR_CONFIG, "%s %s: %s", setting, path, first_reason());
    ERR_clear_error();
    return result;
}

/* A key with a password is refused rather than asked for. */
static int no_password(char *text, int size, int writing, void *context)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static int trust(SSL_CTX *tls, const struct redis_place *place, struct error *error)
{
    if (place->ca)
        return SSL_CTX_load_verify_locations(tls, place->ca, NULL) == 1 ? 0 : bad_file("redis-ca", place->ca, error);
    /* OpenSSL's own places, which SSL_CERT_FILE and SSL_CERT_DIR name otherwise, and Debian's bundle: an image may have nothing else. */
    SSL_CTX_set_default_verify_paths(tls);
    SSL_CTX_load_verify_locations(tls, system_bundle, NULL);
    ERR_clear_error();
    return 0;
}

static int read_files(const struct redis_place *place, SSL_CTX **ret_tls, struct error *error)
{
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        return error_set(error, ERROR_MEMORY, "out of memory");
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(tls, no_password);
    int result = trust(tls, place, error);
    if (result >= 0 && place->cert && SSL_CTX_use_certificate_chain_file(tls, place->cert) != 1)
        result = bad_file("redis-cert", place->cert, error);
    if (result >= 0 && place->key && SSL_CTX_use_PrivateKey_file(tls, place->key, SSL_FILETYPE_PEM) != 1)
        result = bad_file("redis-key", place->key, error);
    if (result < 0)
        SSL_CTX_free(tls);
    else
        *ret_tls = tls;
    return result;
}

int redis_tls_check(const struct redis_place *place, struct error *error)
{
    SSL_CTX *tls = NULL;
    int result = read_files(place, &tls, error);
    SSL_CTX_free(tls);
    return result;
}

static void alternative_names(X509 *certificate, char *text, size_t size)
{
    int place = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    BIO *out = place < 0 ? NULL : BIO_new(BIO_s_mem());
    int length = out && X509V3_EXT_print(out, X509_get_ext(certificate, place), 0, 0) == 1 ? BIO_read(out, text, (int)size - 1) : 0;
    text[length > 0 ? length : 0] = '\0';
    BIO_free(out);
}

/* Keeps what the sentence needs: after a refusal the certificate is gone. */
static int on_verified(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct verdict *verdict = good ? NULL : SSL_get_app_data(ssl);
    X509 *certificate = verdict ? X509_STORE_CTX_get_current_cert(store) : NULL;
    if (certificate) {
        verdict->depth = X509_STORE_CTX_get_error_depth(store);
        X509_NAME_oneline(X509_get_subject_name(certificate), verdict->subject, sizeof verdict->subject);
        alternative_names(certificate, verdict->names, sizeof verdict->names);
    }
    return good;
}

/* Its certificate has to be made out to this host. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int refused(SSL *ssl, const redisContext *context, const struct redis_place *place, const struct redis_node *node,
                   const struct verdict *verdict, struct error *error)
{
    long found = SSL_get_verify_result(ssl);
    const char *trusted = place->ca ? place->ca : "the system's authorities";
    if (found == X509_V_ERR_HOSTNAME_MISMATCH || found == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: its certificate is not for %s: %s; it is for %s", node->host, node->port,
                         node->host, X509_verify_cert_error_string(found), *verdict->names ? verdict->names : verdict->subject);
    if (found != X509_V_OK)
        return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: its certificate is refused: %s (%s, %d up its chain; trusted: %s)",
                         node->host, node->port, X509_verify_cert_error_string(found), verdict->subject, verdict->depth, trusted);
    if (SSL_want_read(ssl) && errno == EAGAIN)
        return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: no answer in time; is it a port without TLS?", node->host, node->port);
    char why[256];
    if (redis_tls_broke(NULL, place, why, sizeof why))
        return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: %s", node->host, node->port, why);
    return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: %s", node->host, node->port, context->errstr);
}

int redis_tls_start(redisContext *context, const struct redis_place *place, const struct redis_node *node, struct ssl_st **ret_ssl,
                    struct error *error)
{
    SSL_CTX *tls = NULL;
    struct verdict verdict = {0};
    int result = read_files(place, &tls, error);
    if (result < 0) {
        if (error)
            error->class = ERROR_CLASS_RETRY;
        return error_wrap(error, "TLS with redis at %s:%d", node->host, node->port);
    }
    SSL *ssl = SSL_new(tls);
    SSL_CTX_free(tls); /* ssl holds it */
    if (!ssl)
        return error_set(error, ERROR_MEMORY, "out of memory");
    SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verified);
    SSL_set_app_data(ssl, &verdict);
    if (!expect_host(ssl, node->host))
        result = error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: %s", node->host, node->port, first_reason());
    else if (redisInitiateSSL(context, ssl) != REDIS_OK)
        result = refused(ssl, context, place, node, &verdict, error);
    ERR_clear_error();
    SSL_set_app_data(ssl, NULL);
    if (result < 0)
        SSL_free(ssl); /* hiredis has not taken it */
    else
        *ret_ssl = ssl;
    return result;
}

bool redis_tls_broke(struct ssl_st *ssl, const struct redis_place *place, char *text, size_t size)
{
    char byte;
    /* The node has closed the connection while we wrote: it may have said why before. */
    if (ssl && ERR_GET_LIB(ERR_peek_error()) != ERR_LIB_SSL && recv(SSL_get_fd(ssl), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        ERR_clear_error();
        SSL_read(ssl, &byte, 1);
    }
    unsigned long code = ERR_peek_error();
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return false;
    int reason = ERR_GET_REASON(code);
    const char *hint = "";
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG)
        hint = "; is it a port without TLS?";
    else if (!place->cert && (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED || reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE))
        hint = "; it may want a certificate of the program's: --redis-cert and --redis-key";
    snprintf(text, size, "%s%s", first_reason(), hint);
    ERR_clear_error();
    return true;
}

#endif
