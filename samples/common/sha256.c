/* SPDX-License-Identifier: MIT */
#include "common/sha256.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>

EVP_MD_CTX *sha256_new(void)
{
	EVP_MD_CTX *sha256 = EVP_MD_CTX_new();

	if (sha256 && EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) == 1)
		return sha256;
	warnx("OpenSSL has no SHA-256");
	EVP_MD_CTX_free(sha256);
	return NULL;
}

int sha256_add(void *ctx, const void *data, size_t len)
{
	return EVP_DigestUpdate(ctx, data, len) == 1 ? 0 : -EIO;
}

void sha256_text(EVP_MD_CTX *sha256, char text[SHA256_TEXT])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0, i;

	EVP_DigestFinal_ex(sha256, digest, &len);
	for (i = 0; i < len && i < (SHA256_TEXT - 1) / 2; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
	EVP_DigestInit_ex(sha256, NULL, NULL);
}
