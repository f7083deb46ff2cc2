/* Stores' XML, element by element. */
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "repo/backend/backend_xml.h"

struct reader {
	XML_Parser parser;
	backend_xml_fn *fn;
	void *ctx;
	struct err *err;
	int rc;         /* set once it was stopped */
	unsigned depth;
	size_t path_len, text_len;
	size_t up[BACKEND_XML_DEPTH]; /* length of the path above each element */
	char path[BACKEND_XML_PATH];
	char text[BACKEND_XML_TEXT + 1];
};

static void stop(struct reader *r, int rc)
{
	if (r->rc == 0)
		r->rc = rc;
	XML_StopParser(r->parser, XML_FALSE);
}

static void refuse(struct reader *r, const char *what)
{
	if (r->rc == 0)
		stop(r, err_set(r->err, ERR_CORRUPT, "XML with %s", what));
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
    const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	refuse(ctx, "a document type");
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **atts)
{
	struct reader *r = ctx;
	const char *colon = strrchr(name, ':');
	const char *local = colon != NULL && colon[1] != '\0' ? colon + 1 :
	    name;
	size_t len = strlen(local), slash = r->depth > 0;

	(void)atts;
	if (r->rc != 0)
		return;
	if (r->depth == BACKEND_XML_DEPTH) {
		refuse(r, "elements nested too deep");
		return;
	}
	if (len + slash >= sizeof(r->path) - r->path_len) {
		refuse(r, "names that are too long");
		return;
	}
	r->up[r->depth++] = r->path_len;
	if (slash)
		r->path[r->path_len++] = '/';
	memcpy(r->path + r->path_len, local, len + 1);
	r->path_len += len;
	r->text_len = 0;
}

static void on_end(void *ctx, const XML_Char *name)
{
	struct reader *r = ctx;
	int rc;

	(void)name;
	if (r->rc != 0 || r->depth == 0)
		return;
	r->text[r->text_len] = '\0';
	rc = r->fn(r->ctx, r->path, r->text, r->err);
	if (rc != 0)
		stop(r, rc);
	r->path_len = r->up[--r->depth];
	r->path[r->path_len] = '\0';
	r->text_len = 0;
}

static void on_text(void *ctx, const XML_Char *s, int len)
{
	struct reader *r = ctx;

	if (r->rc != 0 || len < 0)
		return;
	if ((size_t)len > BACKEND_XML_TEXT - r->text_len) {
		refuse(r, "a text that is too long");
		return;
	}
	memcpy(r->text + r->text_len, s, (size_t)len);
	r->text_len += (size_t)len;
}

static void parse(struct reader *r, const void *doc, size_t len)
{
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);

	if (XML_Parse(r->parser, doc, (int)len, 1) == XML_STATUS_OK ||
	    r->rc != 0)
		return;

	enum XML_Error code = XML_GetErrorCode(r->parser);

	if (code == XML_ERROR_NO_MEMORY)
		r->rc = err_nomem(r->err, "XML");
	else
		r->rc = err_set(r->err, ERR_CORRUPT,
		    "malformed XML (%s, line %lu)", XML_ErrorString(code),
		    (unsigned long)XML_GetCurrentLineNumber(r->parser));
}

int backend_xml_read(const void *doc, size_t len, backend_xml_fn *fn,
    void *ctx, struct err *err)
{
	struct reader r = { .fn = fn, .ctx = ctx, .err = err };

	if (len == 0 || len > INT_MAX)
		return err_set(err, ERR_CORRUPT, "XML of %zu bytes", len);
	/* Stores write UTF-8; a document that claims otherwise is not asked. */
	r.parser = XML_ParserCreate("UTF-8");
	if (r.parser == NULL)
		return err_nomem(err, "XML");
	parse(&r, doc, len);
	XML_ParserFree(r.parser);
	return r.rc;
}

struct picker {
	const struct backend_xml_want *want;
	size_t n;
};

static int pick(void *ctx, const char *path, const char *text, struct err *err)
{
	const struct picker *p = ctx;

	(void)err;
	for (size_t i = 0; i < p->n; i++) {
		const struct backend_xml_want *w = &p->want[i];
		size_t len = strlen(text);

		if (w->dst[0] != '\0' || strcmp(w->path, path) != 0)
			continue;
		if (len >= w->cap)
			len = w->cap - 1;
		memcpy(w->dst, text, len);
		w->dst[len] = '\0';
	}
	return 0;
}

void backend_xml_pick(const void *doc, size_t len,
    const struct backend_xml_want *want, size_t n)
{
	struct picker p = { want, n };
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		want[i].dst[0] = '\0';
	backend_xml_read(doc, len, pick, &p, &ignored);
}
