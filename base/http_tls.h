/* The certificate of an HTTP server: read from files, looked at, and read again while the server runs. */
#ifndef CITYTOTALS_BASE_HTTP_TLS_H
#define CITYTOTALS_BASE_HTTP_TLS_H

#include <gnutls/abstract.h>

#include "base/error.h"

/* TLS 1.2 and 1.3, with the ciphers that GnuTLS holds sound. */
#define HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

/* The files' certificate comes into force for handshakes that begin from now on; ERROR_CONFIG leaves the one before. GnuTLS's callback
 * has no context, so a process has one such certificate. */
int http_tls_load(const char *cert_path, const char *key_path, struct error *error);
int64_t http_tls_expires_s(void); /* Unix time of the certificate in force */
void http_tls_unload(void);       /* when no handshake runs any more */
/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
int http_tls_choose(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_chain_length, gnutls_privkey_t *ret_key);

#endif
