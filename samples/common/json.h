/* SPDX-License-Identifier: MIT */
/* One flat JSON object on stdout. */
#ifndef SAMPLES_JSON_H
#define SAMPLES_JSON_H

#include <stdbool.h>
#include <stdint.h>

void json_begin(void);
void json_text(const char *key, const char *value);
void json_number(const char *key, uint64_t value);
void json_real(const char *key, double value);
void json_bool(const char *key, bool value);
void json_end(void);

#endif
