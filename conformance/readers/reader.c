/* Judges what an implementation wrote for a conformance case, in plain C: proof that the format needs no Python.

       cc -std=c99 -O1 -o reader reader.c -lm
       ./reader CASE OUT PROFILE        e.g. ./reader conformance/cases/convolution/valid/wide out fp16/acc32

   Reads CASE/case.json, references and bounds from CASE's file of arrays, and OUT/<output>.npy, of several steps
   OUT/<step>/<output>.npy, and prints a line per output: pass, fail, or undetermined where every bound is infinite, so that
   nothing was compared. Networks (format 1) and ML Programs (format 2).
   Exit code: 0 all within their bounds, 1 not, 3 the case cannot be read or says nothing about the profile.
   Left out, as it is not needed for a verdict on a sound case: checksums, moments of random numbers, and leniency with
   integers that a fast algorithm rounds ("rounded"). */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANK = 8 };

typedef struct {
    int rank;
    long shape[MAX_RANK], count;
    double *values;
} array;

static void die(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", what, which);
    exit(3);
}

/* ---- JSON, just enough: values are pointers into the text ---- */

static const char *space(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    return p;
}

static const char *skip_string(const char *p) {
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1]) p++;
    return *p ? p + 1 : p;
}

/* The end of the value that begins at p. */
static const char *skip(const char *p) {
    int depth = 0;
    p = space(p);
    do {
        if (*p == '"') p = skip_string(p);
        else if (*p == '{' || *p == '[') depth++, p++;
        else if (*p == '}' || *p == ']') depth--, p++;
        else if (depth) p++;
        else while (*p && !strchr(",]} \n\r\t", *p)) p++;
    } while (depth > 0 && *p);
    return p;
}

/* The value of a key of the object at p, or NULL. */
static const char *member(const char *p, const char *key) {
    size_t length = strlen(key);
    p = p ? space(p) : p;
    if (!p || *p != '{') return NULL;
    p = space(p + 1);
    while (*p == '"') {
        const char *name = p + 1;
        p = skip_string(p);
        int found = (size_t)(p - name) == length + 1 && !strncmp(name, key, length);
        p = space(p);
        if (*p++ != ':') return NULL;
        if (found) return space(p);
        p = space(skip(p));
        if (*p == ',') p = space(p + 1);
    }
    return NULL;
}

/* The first element of the array at p, or NULL; then the element after one. */
static const char *first(const char *p) {
    p = p && *p == '[' ? space(p + 1) : NULL;
    return p && *p != ']' && *p ? p : NULL;
}

static const char *next(const char *p) {
    p = space(skip(p));
    return *p == ',' ? space(p + 1) : NULL;
}

static void text(const char *p, char *out, size_t size) {
    size_t n = 0;
    if (p && *p == '"')
        for (p++; *p && *p != '"' && n + 1 < size; p++) out[n++] = *p;
    out[n] = 0;
}

/* ---- .npy ---- */

static double half(uint16_t h) {
    int exponent = h >> 10 & 31;
    double m = h & 1023, sign = h >> 15 ? -1 : 1;
    if (exponent == 31) return m ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + m, exponent - 25) : ldexp(m, -24));
}

/* One number in little-endian order. */
static double number(const unsigned char *p, char kind, int size) {
    uint64_t bits = 0;
    for (int i = 0; i < size; i++) bits |= (uint64_t)p[i] << 8 * i;
    if (kind == 'f' && size == 8) { double v; memcpy(&v, &bits, 8); return v; }
    if (kind == 'f' && size == 4) { uint32_t b = (uint32_t)bits; float v; memcpy(&v, &b, 4); return v; }
    if (kind == 'f' && size == 2) return half((uint16_t)bits);
    if (kind == 'i' && size < 8 && bits >> (8 * size - 1)) return (double)bits - ldexp(1, 8 * size);
    return kind == 'i' && size == 8 ? (double)(int64_t)bits : (double)bits;
}

/* Reads the array that begins at an offset; returns 0 if there is none. */
static int read_npy(const char *path, long offset, array *a) {
    unsigned char head[12];
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    memset(a, 0, sizeof *a);
    int ok = 0;
    char *header = NULL;
    unsigned char *raw = NULL;
    if (fseek(f, offset, SEEK_SET) || fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY", 6)) goto end;
    long length = head[8] | head[9] << 8;
    if (head[6] > 1) {
        if (fread(head + 10, 1, 2, f) != 2) goto end;
        length |= (long)head[10] << 16 | (long)head[11] << 24;
    }
    if (length > 1 << 20) goto end;
    header = calloc(1, (size_t)length + 1);
    if (fread(header, 1, (size_t)length, f) != (size_t)length) goto end;
    char *descr = strstr(header, "'descr'"), *order = strstr(header, "'fortran_order': False"), *shape = strstr(header, "'shape'");
    if (!descr || !order || !shape || !(descr = strchr(descr + 7, '\'')) || !(shape = strchr(shape, '('))) goto end;
    char kind = descr[2];
    int size = descr[3] - '0';
    if (descr[1] == '>' || !strchr("fiub", kind) || size < 1 || size > 8) goto end;
    a->count = 1;
    for (char *p = shape + 1; *p && *p != ')';) {
        if (*p >= '0' && *p <= '9') {
            if (a->rank == MAX_RANK) goto end;
            long n = strtol(p, &p, 10);
            if (n < 0 || (n && a->count > (1L << 28) / n)) goto end;
            a->shape[a->rank++] = n;
            a->count *= n;
        } else p++;
    }
    raw = malloc((size_t)a->count * (size_t)size + 1);
    if (!raw || fread(raw, (size_t)size, (size_t)a->count, f) != (size_t)a->count) goto end;
    a->values = malloc(((size_t)a->count + 1) * sizeof(double));
    for (long i = 0; i < a->count; i++) a->values[i] = number(raw + i * size, kind, size);
    ok = 1;
end:
    free(header);
    free(raw);
    fclose(f);
    return ok;
}

/* ---- The rule: see refcoreml/conformance/verify.py ---- */

static int same_shape(const array *a, const array *b, int free_ones) {
    int i = 0, j = 0;
    for (;;) {
        if (free_ones) {
            while (i < a->rank && a->shape[i] == 1) i++;
            while (j < b->rank && b->shape[j] == 1) j++;
        }
        if (i == a->rank || j == b->rank) return i == a->rank && j == b->rank;
        if (a->shape[i++] != b->shape[j++]) return 0;
    }
}

static int within(double y, double r, double b, double smallest, double largest) {
    if (isinf(b)) return 1;
    if (isnan(r)) return isnan(y);
    if (isinf(r)) return y == r;
    if (isinf(y)) return (y > 0) == (r > 0) && fabs(r) + b > largest;
    return fabs(y - r) <= b || (y == 0 && fabs(r) < smallest);
}

static char *read_text(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) die("cannot open", path);
    size_t size = 0, n;
    char *content = NULL;
    do {
        content = realloc(content, size + 65537);
        n = fread(content + size, 1, 65536, f);
        size += n;
    } while (n);
    fclose(f);
    content[size] = 0;
    return content;
}

/* In which numbers an output was stored: the smallest normal and the largest. */
static void limits_of(const char *output, const char *profile, double *smallest, double *largest) {
    char dtype[16], storage[16];
    text(member(output, "dtype"), dtype, sizeof dtype);
    text(member(output, "storage"), storage, sizeof storage);
    int declared = !strcmp(profile, "declared");
    int is_half = !strcmp(dtype, "float16") || (declared ? !strcmp(storage, "float16") : !strncmp(profile, "fp16", 4));
    *smallest = ldexp(1, is_half ? -14 : -126);
    *largest = is_half ? 65504 : ldexp(2 - ldexp(1, -23), 127);
    if (!strncmp(dtype, "int", 3)) { *smallest = 0; *largest = INFINITY; }
}

/* How many outputs were judged. */
static long judged = 0;

/* Judges the outputs of one step, which are in the folder OUT or, of several, in the one of its number in it; 1 if one fails. */
static int judge(const char *step, const char *arrays, const char *out, const char *place, const char *profile) {
    char path[4096], name[256];
    double smallest, largest;
    int failed = 0;
    for (const char *output = first(member(step, "outputs")); output; output = next(output)) {
        array y, r, b;
        judged++;
        text(member(output, "name"), name, sizeof name);
        limits_of(output, profile, &smallest, &largest);
        const char *expected = member(member(output, "profiles"), profile), *bound = member(expected, "bound");
        const char *at = member(member(expected, "reference"), "at"), *ones = member(output, "free_ones");
        if (!at || !bound) die("nothing is said about the profile", profile);
        if (!read_npy(arrays, strtol(at, NULL, 10), &r)) die("cannot read", arrays);
        if (*bound == '{' && !(member(bound, "at") && read_npy(arrays, strtol(member(bound, "at"), NULL, 10), &b))) die("cannot read", arrays);
        snprintf(path, sizeof path, "%s/%s%s.npy", out, place, name);
        if (!read_npy(path, 0, &y)) {
            printf("fail %s%s: no array was written\n", place, name);
            failed = 1;
            continue;
        }
        if (!same_shape(&y, &r, ones && *ones == 't')) {
            printf("fail %s%s: the shape is wrong\n", place, name);
            failed = 1;
            continue;
        }
        long wrong = 0, example = 0, open = 0;
        for (long i = 0; i < r.count; i++) {
            double limit = *bound == '{' ? b.values[i] : strtod(bound, NULL);
            if (!within(y.values[i], r.values[i], limit, smallest, largest) && !wrong++) example = i;
            open += isinf(limit) != 0;
        }
        if (wrong) printf("fail %s%s: %ld of %ld, element %ld is %.9g, expected %.9g\n", place, name, wrong, r.count, example, y.values[example], r.values[example]);
        else if (open == r.count) printf("undetermined %s%s: every bound is infinite\n", place, name);
        else printf("pass %s%s\n", place, name);
        failed |= wrong > 0;
    }
    return failed;
}

int main(int argc, char **argv) {
    char path[4096], file[256], place[32];
    if (argc != 4) die("usage", "reader CASE OUT PROFILE");
    snprintf(path, sizeof path, "%s/case.json", argv[1]);
    const char *json = read_text(path);
    long format = member(json, "format") ? strtol(member(json, "format"), NULL, 10) : 0;
    if (format != 1 && format != 2) die("not of format 1 or 2", path);
    text(member(member(json, "arrays"), "file"), file, sizeof file);
    snprintf(path, sizeof path, "%s/%s", argv[1], file);
    int failed = format == 1 && judge(json, path, argv[2], "", argv[3]), number = 0;
    const char *step = format == 1 ? NULL : first(member(json, "steps"));
    for (int several = step && next(step); step; step = next(step)) {
        place[0] = 0;
        if (several) snprintf(place, sizeof place, "%d/", number++);
        failed |= judge(step, path, argv[2], place, argv[3]);
    }
    if (!judged) die("no output is listed", argv[1]);
    return failed;
}
