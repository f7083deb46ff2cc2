#ifndef TESTS_UNIT_NET_CERTS_H
#define TESTS_UNIT_NET_CERTS_H

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* Certificates for tests, made as they are needed. */

struct cert {
	X509 *x;
	EVP_PKEY *key;
};

static inline void cert_must(int good)
{
	if (!good)
		abort();
}

static inline void cert_ext(X509 *x, X509 *by, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, by, x, NULL, NULL, 0);

	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	cert_must(e != NULL && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

/*
 * A certificate for name, signed by `by` (NULL: by itself, an authority), good
 * from `from` to `to` seconds from now.  san as "IP:127.0.0.1", NULL: none.
 */
static inline struct cert cert_make(const char *name, const char *san,
    const struct cert *by, long from, long to)
{
	struct cert c = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *n = X509_NAME_new();
	static long serial;

	cert_must(c.x != NULL && c.key != NULL && n != NULL);
	cert_must(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0));
	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x), from);
	X509_gmtime_adj(X509_getm_notAfter(c.x), to);
	X509_set_subject_name(c.x, n);
	X509_set_issuer_name(c.x, by ? X509_get_subject_name(by->x) : n);
	X509_set_pubkey(c.x, c.key);
	cert_ext(c.x, by ? by->x : c.x, NID_basic_constraints,
	    by ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (san != NULL)
		cert_ext(c.x, by ? by->x : c.x, NID_subject_alt_name, san);
	cert_must(X509_sign(c.x, by ? by->key : c.key, EVP_sha256()) > 0);
	X509_NAME_free(n);
	return c;
}

static inline void cert_free(struct cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	*c = (struct cert){ NULL, NULL };
}

/* Write certificate, key or both to a new file; path is a template for mkstemp. */
static inline void cert_write(char *path, const struct cert *c, int with_cert,
    int with_key)
{
	int fd = mkstemp(path);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	cert_must(f != NULL);
	if (with_cert)
		cert_must(PEM_write_X509(f, c->x));
	if (with_key)
		cert_must(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL,
		    NULL));
	cert_must(fclose(f) == 0);
}

/* What a server shows; with client, it wants a certificate signed by that. */
static inline SSL_CTX *cert_server(const struct cert *c, const struct cert *client)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	cert_must(ctx != NULL && SSL_CTX_use_certificate(ctx, c->x) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, c->key) == 1);
	if (client != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), client->x);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
		    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}

#endif
