#include <openssl/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <zstd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "chunker/chunker.h"

/* The fastest way to cut that this CPU has, the last in the list. */
static const char *cutting(void)
{
	static const enum chunker_path best[] = {
		CHUNKER_PATH_VAES512, CHUNKER_PATH_VAES256,
		CHUNKER_PATH_AESNI, CHUNKER_PATH_ARM64,
	};

	for (size_t i = 0; i < sizeof(best) / sizeof(best[0]); i++) {
		if (chunker_path_available(best[i]))
			return chunker_path_name(best[i]);
	}
	return chunker_path_name(CHUNKER_PATH_SCALAR);
}

static int run(struct cli *cli, void *opts)
{
	(void)opts;
	if (!cli->json) {
		printf("wherry " WHERRY_VERSION "\n");
		printf("zstd %s, libsodium %s, %s, jansson %s\n",
		    ZSTD_versionString(), sodium_version_string(),
		    OpenSSL_version(OPENSSL_VERSION), JANSSON_VERSION);
		printf("cutting by %s\n", cutting());
		return CLI_OK;
	}

	json_t *o = json_object();

	json_object_set_new(o, "version", json_string(WHERRY_VERSION));
	json_object_set_new(o, "zstd", json_string(ZSTD_versionString()));
	json_object_set_new(o, "libsodium",
	    json_string(sodium_version_string()));
	json_object_set_new(o, "openssl",
	    json_string(OpenSSL_version(OPENSSL_VERSION)));
	json_object_set_new(o, "jansson", json_string(JANSSON_VERSION));
	json_object_set_new(o, "chunker", json_string(cutting()));
	cli_json_print(o);
	return CLI_OK;
}

const struct cli_verb cli_cmd_version = {
	.name = "version",
	.summary = "Show the version",
	.text = "Shows the versions of the program and its libraries, and which "
	    "instructions it uses here.",
	.json = "  {\"version\",\"zstd\",\"libsodium\",\"openssl\","
	    "\"jansson\",\"chunker\"}",
	.examples = "wherry version",
	.groups = CLI_G_JSON | CLI_G_HELP,
	.run = run,
};
