/* Certificates by GnuTLS, which libmicrohttpd uses. */
#include "base/http_tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"

enum { CHAIN_MOST = 8, FILE_MOST = 256 * 1024, KEEP_MS = 300000 }; /* KEEP_MS: longer than any handshake */

/* A certificate in force, or one before, which handshakes may still use. */
struct certificate {
    struct certificate *before;
    gnutls_pcert_st chain[CHAIN_MOST];
    unsigned length;
    gnutls_privkey_t key;
    int64_t expires_s, replaced_ms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct certificate *in_force;

static struct certificate *certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return NULL;
    for (unsigned i = 0; i < certificate->length; i++)
        gnutls_pcert_deinit(&certificate->chain[i]);
    if (certificate->key)
        gnutls_privkey_deinit(certificate->key);
    free(certificate);
    return NULL;
}

static int load_file(const char *path, gnutls_datum_t *ret_text, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return error_set(error, ERROR_CONFIG, "open %s: %m", path);
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_MOST)
        return error_set(error, ERROR_CONFIG, "%s is no file of at most %d bytes", path, FILE_MOST);
    if (gnutls_load_file(path, ret_text) < 0)
        return error_set(error, ERROR_CONFIG, "read %s: %s", path, strerror(errno));
    return 0;
}

static int read_expiry(const gnutls_datum_t *text, int64_t *ret_expires_s)
{
    gnutls_x509_crt_t first;
    int status = gnutls_x509_crt_init(&first);
    if (status < 0)
        return status;
    status = gnutls_x509_crt_import(first, text, GNUTLS_X509_FMT_PEM);
    if (status >= 0)
        *ret_expires_s = gnutls_x509_crt_get_expiration_time(first);
    gnutls_x509_crt_deinit(first);
    return status;
}

/* Do they belong together, by GnuTLS's own look? */
static int check_pair(const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t credentials;
    int status = gnutls_certificate_allocate_credentials(&credentials);
    if (status < 0)
        return status;
    status = gnutls_certificate_set_x509_key_mem(credentials, cert, key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return status;
}

static int fill(struct certificate *certificate, const char *cert_path, const gnutls_datum_t *cert, const char *key_path,
                const gnutls_datum_t *key, struct error *error)
{
    unsigned length = CHAIN_MOST;
    int status = gnutls_pcert_list_import_x509_raw(certificate->chain, &length, cert, GNUTLS_X509_FMT_PEM,
                                                   GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (status < 0)
        return error_set(error, ERROR_CONFIG, "%s is no chain of at most %d certificates in PEM: %s", cert_path, CHAIN_MOST,
                         gnutls_strerror(status));
    certificate->length = length;
    if ((status = read_expiry(cert, &certificate->expires_s)) < 0)
        return error_set(error, ERROR_CONFIG, "%s: %s", cert_path, gnutls_strerror(status));
    if ((status = gnutls_privkey_init(&certificate->key)) < 0)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if ((status = gnutls_privkey_import_x509_raw(certificate->key, key, GNUTLS_X509_FMT_PEM, NULL, 0)) < 0)
        return error_set(error, ERROR_CONFIG, "%s is no private key in PEM without a password: %s", key_path, gnutls_strerror(status));
    if ((status = check_pair(cert, key)) < 0)
        return error_set(error, ERROR_CONFIG, "the key %s is not that of the certificate %s%s%s", key_path, cert_path,
                         status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? "" : ": ",
                         status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? "" : gnutls_strerror(status));
    return 0;
}

/* Those that no handshake can use any more. */
static void forget_old(int64_t now_ms)
{
    struct certificate **place = &in_force;
    while (*place && (!(*place)->replaced_ms || now_ms - (*place)->replaced_ms < KEEP_MS))
        place = &(*place)->before;
    for (struct certificate *old = *place, *before; old; old = before) {
        before = old->before;
        certificate_free(old);
    }
    *place = NULL;
}

int http_tls_load(const char *cert_path, const char *key_path, struct error *error)
{
    gnutls_datum_t cert = {0}, key = {0};
    struct certificate *certificate = calloc(1, sizeof *certificate);
    if (!certificate)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = load_file(cert_path, &cert, error);
    if (result >= 0)
        result = load_file(key_path, &key, error);
    if (result >= 0)
        result = fill(certificate, cert_path, &cert, key_path, &key, error);
    if (key.data)
        explicit_bzero(key.data, key.size);
    gnutls_free(key.data);
    gnutls_free(cert.data);
    if (result < 0) {
        certificate_free(certificate);
        return result;
    }
    pthread_mutex_lock(&lock);
    int64_t now_ms = clock_monotonic_ms();
    certificate->before = in_force;
    if (in_force)
        in_force->replaced_ms = now_ms;
    in_force = certificate;
    forget_old(now_ms);
    pthread_mutex_unlock(&lock);
    return 0;
}

int64_t http_tls_expires_s(void)
{
    pthread_mutex_lock(&lock);
    int64_t expires_s = in_force ? in_force->expires_s : 0;
    pthread_mutex_unlock(&lock);
    return expires_s;
}

void http_tls_unload(void)
{
    pthread_mutex_lock(&lock);
    for (struct certificate *each = in_force, *before; each; each = before) {
        before = each->before;
        certificate_free(each);
    }
    in_force = NULL;
    pthread_mutex_unlock(&lock);
}

int http_tls_choose(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_chain_length, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    pthread_mutex_lock(&lock);
    struct certificate *certificate = in_force;
    pthread_mutex_unlock(&lock);
    if (!certificate)
        return -1;
    *ret_chain = certificate->chain;
    *ret_chain_length = certificate->length;
    *ret_key = certificate->key;
    return 0;
}
