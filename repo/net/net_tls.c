#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/net/net_internal.h"

/*
 * libcurl would read the system's authorities again for each connection, and
 * takes a file of ours in their place, not beside them.  So there is one store
 * of our own, read once and given to every connection.
 */
struct net_tls {
	X509_STORE *store;
	bool system; /* the system's are in it; the I/O thread's own */
};

static int add_file(struct net_tls *t, const char *file, struct err *err)
{
	CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		err_sys(err, errno, "cannot read --ca-file %s", file);
		if (err != NULL)
			err->class = ERR_USAGE;
		return -1;
	}
	ERR_clear_error();
	if (X509_STORE_load_file(t->store, file) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_USAGE,
		    "--ca-file %s holds no certificate in PEM form", file);
	}
	return 0;
}

struct net_tls *net_tls_new(const char *ca_file, struct err *err)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if (v->ssl_version == NULL ||
	    strncmp(v->ssl_version, "OpenSSL/", 8) != 0) {
		err_set(err, ERR_UNSUPPORTED, "this libcurl was built with %s, "
		    "OpenSSL is needed",
		    v->ssl_version ? v->ssl_version : "no TLS");
		return NULL;
	}

	struct net_tls *t = mem_zalloc(sizeof(*t), "TLS", err);

	if (t == NULL)
		return NULL;
	t->store = X509_STORE_new();
	if (t->store == NULL) {
		err_nomem(err, "TLS");
		goto fail;
	}
	/* Whom we are told to trust need not be the root of a chain. */
	X509_STORE_set_flags(t->store,
	    X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	if (ca_file != NULL && add_file(t, ca_file, err) < 0)
		goto fail;
	return t;
fail:
	net_tls_free(t);
	return NULL;
}

void net_tls_free(struct net_tls *t)
{
	if (t == NULL)
		return;
	X509_STORE_free(t->store);
	free(t);
}

/*
 * The system's are where libcurl was told at its making.  One that is missing
 * costs nothing but trust: the handshake says then what is not known.
 */
static void add_system(struct net_tls *t)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if (v->age >= CURLVERSION_SEVENTH && v->cainfo != NULL)
		X509_STORE_load_file(t->store, v->cainfo);
	if (v->age >= CURLVERSION_SEVENTH && v->capath != NULL)
		X509_STORE_load_path(t->store, v->capath);
	ERR_clear_error();
}

CURLcode net_tls_use(CURL *easy, void *ssl_ctx, void *arg)
{
	struct net_tls *t = arg;

	(void)easy;
	if (!t->system) {
		add_system(t);
		t->system = true;
	}
	SSL_CTX_set1_cert_store(ssl_ctx, t->store);
	return CURLE_OK;
}

const char *net_tls_reason(long code)
{
	return X509_verify_cert_error_string(code);
}
