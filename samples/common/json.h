/* SPDX-License-Identifier: MIT */
/* One flat JSON object, on stdout unless told otherwise. */
#ifndef SAMPLES_JSON_H
#define SAMPLES_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where the next objects go. */
void json_to(FILE *file);

void json_begin(void);
void json_text(const char *key, const char *value);
void json_number(const char *key, uint64_t value);
void json_real(const char *key, double value);
void json_bool(const char *key, bool value);

/* An array of pairs: [[1, 2], [3, 4]]. */
void json_rows_begin(const char *key);
void json_row(uint64_t first, uint64_t second);
void json_rows_end(void);

void json_end(void);

#endif
