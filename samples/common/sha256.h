/* SPDX-License-Identifier: MIT */
/* SHA-256 by OpenSSL. */
#ifndef SAMPLES_SHA256_H
#define SAMPLES_SHA256_H

#include <stddef.h>

#include <openssl/evp.h>

#define SHA256_TEXT 65 /* 64 hexadecimal digits */

/* A sum of nothing yet, for EVP_MD_CTX_free() in the end; or NULL, after it has said so on stderr. */
EVP_MD_CTX *sha256_new(void);

/* A reader_sink: adds to the sum that is @ctx. */
int sha256_add(void *ctx, const void *data, size_t len);

/* What it comes to; it is a sum of nothing again. */
void sha256_text(EVP_MD_CTX *sha256, char text[SHA256_TEXT]);

#endif
