#include <string.h>

#include "repo/net/net_internal.h"

/* What curl says, but for what may repeat the URL's query. */
static const char *detail(const struct net_job *j)
{
	const char *query = strchr(j->rq->url, '?');
	const char *s = j->errbuf[0] ? j->errbuf : curl_easy_strerror(j->code);

	if (query != NULL && query[1] != '\0' && strstr(s, query + 1) != NULL)
		return curl_easy_strerror(j->code);
	return s;
}

static int tell_errno(const struct net_job *j, const char *what,
    struct err *err)
{
	long errnum = 0;

	curl_easy_getinfo(j->easy, CURLINFO_OS_ERRNO, &errnum);
	if (errnum != 0)
		err_sys(err, (int)errnum, "%s", what);
	else
		err_set(err, ERR_TRANSIENT, "%s: %s", what, detail(j));
	if (err != NULL)
		err->class = ERR_TRANSIENT;
	return -1;
}

/* The server showed a certificate that does not hold. */
static int tell_untrusted(const struct net_job *j, struct err *err)
{
	long why = 0;

	curl_easy_getinfo(j->easy, CURLINFO_SSL_VERIFYRESULT, &why);
	switch (why) {
	/* The name is looked at before curl notes that the chain holds. */
	case 0: /* X509_V_OK */
	case 1: /* X509_V_ERR_UNSPECIFIED */
		return err_set(err, ERR_IO, "the server's certificate is of "
		    "another host (%s)", detail(j));
	case 10: /* X509_V_ERR_CERT_HAS_EXPIRED */
		return err_set(err, ERR_IO, "the server's certificate, or one "
		    "above it, has expired (or this machine's clock is wrong)");
	case 9: /* X509_V_ERR_CERT_NOT_YET_VALID */
		return err_set(err, ERR_IO, "the server's certificate is not "
		    "valid yet (or this machine's clock is wrong)");
	case 2: /* X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT */
	case 18: /* X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT */
	case 19: /* X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN */
	case 20: /* X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY */
	case 21: /* X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE */
		return err_set(err, ERR_IO, "the server's certificate is not "
		    "trusted: %s (if it is your own authority's, name its "
		    "certificate with --ca-file)", net_tls_reason(why));
	default:
		return err_set(err, ERR_IO, "the server's certificate is not "
		    "trusted: %s", net_tls_reason(why));
	}
}

/* The handshake failed: a network that broke, or two who cannot agree. */
static int tell_handshake(const struct net_job *j, struct err *err)
{
	static const char *const broken[] = {
		"SSL_ERROR_SYSCALL", "reset by peer", "Broken pipe",
		"unexpected eof", "SSL_ERROR_ZERO_RETURN", "timed out",
	};
	const char *s = detail(j);

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		if (strstr(s, broken[i]) != NULL)
			return err_set(err, ERR_TRANSIENT,
			    "the connection ended in the TLS handshake");
	return err_set(err, ERR_IO, "TLS cannot be agreed on: %s", s);
}

static int tell_certificate(const struct net_job *j, struct err *err)
{
	return err_set(err, ERR_USAGE, "the client's certificate %s or its key "
	    "cannot be used: %s", j->rq->cert_file ? j->rq->cert_file : "",
	    detail(j));
}

static int tell_code(const struct net_job *j, struct err *err)
{
	switch (j->code) {
	case CURLE_URL_MALFORMAT:
		return err_set(err, ERR_USAGE, "the URL is malformed");
	case CURLE_OUT_OF_MEMORY:
		return err_nomem(err, "a request");
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(err, ERR_TRANSIENT, "%s", detail(j));
	case CURLE_COULDNT_CONNECT:
		return tell_errno(j, "cannot connect", err);
	case CURLE_OPERATION_TIMEDOUT:
		return j->started ?
		    err_set(err, ERR_TRANSIENT, "no whole answer within %u ms",
		        j->rq->total_ms) :
		    err_set(err, ERR_TRANSIENT, "not connected within %u ms",
		        j->n->connect_ms);
	case CURLE_PEER_FAILED_VERIFICATION:
		return tell_untrusted(j, err);
	case CURLE_SSL_CONNECT_ERROR:
		return tell_handshake(j, err);
	case CURLE_SSL_CERTPROBLEM:
		return tell_certificate(j, err);
	case CURLE_PARTIAL_FILE:
		return err_set(err, ERR_TRANSIENT,
		    "the answer ended before it was whole");
	case CURLE_GOT_NOTHING:
		return err_set(err, ERR_TRANSIENT,
		    "the server closed the connection without an answer");
	case CURLE_SEND_FAIL_REWIND:
		return err_set(err, ERR_TRANSIENT, "the connection broke "
		    "before there was an answer");
	case CURLE_SEND_ERROR:
		return tell_errno(j, "the connection broke while the request "
		    "was sent", err);
	case CURLE_RECV_ERROR:
		/* It has no code of its own. */
		if (strstr(j->errbuf, "in chunked-encoding") != NULL)
			return err_set(err, ERR_CORRUPT,
			    "the answer is no HTTP: %s", detail(j));
		return tell_errno(j, "the connection broke before the answer "
		    "was whole", err);
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_PROXY:
		return err_set(err, ERR_TRANSIENT, "%s", detail(j));
	/* So it calls an answer that is HTTP/0.9, or nothing of the kind. */
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return err_set(err, ERR_CORRUPT, "the answer is no HTTP: %s",
		    detail(j));
	default:
		return err_set(err, ERR_IO, "%s", detail(j));
	}
}

static int tell(struct net_job *j, struct err *err)
{
	if (j->err.class != ERR_NONE) {
		if (err != NULL)
			*err = j->err;
		return -1;
	}
	if (j->rs->status == 101)
		return err_set(err, ERR_CORRUPT, "the server changes to a "
		    "protocol that it was not asked for");
	/* A failure's long body was cut by us: all that is wanted is there. */
	if (j->code == CURLE_WRITE_ERROR && j->cut)
		return 0;
	if (j->code != CURLE_OK)
		return tell_code(j, err);
	/* curl is content with a head that ended with the connection. */
	if (!j->head.complete)
		return err_set(err, ERR_TRANSIENT,
		    "the answer ended before it was whole");

	long version = 0;

	curl_easy_getinfo(j->easy, CURLINFO_HTTP_VERSION, &version);
	if (j->rq->http2 && version != CURL_HTTP_VERSION_2)
		return err_set(err, ERR_CORRUPT,
		    "the server does not speak HTTP/2");
	return 0;
}

int net_fail_tell(struct net_job *j, struct err *err)
{
	if (tell(j, err) == 0)
		return 0;

	int shown = (int)net_url_shown(j->rq->url);

	return err_wrap(err, "%s %.*s", net_method_name(j->rq->method),
	    shown < 600 ? shown : 600, j->rq->url);
}
