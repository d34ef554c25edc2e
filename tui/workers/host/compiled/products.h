/* Products with a checkpoint's own weights.

   Weights stay as they are (float16, bfloat16 or float32, row after row) or are packed without loss (packed.h), and are
   widened in registers; activations and sums are float32. Matrices are [rows, columns], x is [tokens, columns], y is
   [tokens, rows]. Threads take rows from a shared counter, so one that loses its core holds up few of them. */

#include <immintrin.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
enum { WIDE = 16, TOKENS = 6 };
typedef __m512 floats;
#define load _mm512_loadu_ps
#define store _mm512_storeu_ps
#define fma_ _mm512_fmadd_ps
#define zero _mm512_setzero_ps
#define all _mm512_set1_ps
#define total _mm512_reduce_add_ps
/* The sums of four vectors. */
static inline __m128 totals(const floats *a) {
    floats low = _mm512_unpacklo_ps(a[0], a[1]) + _mm512_unpackhi_ps(a[0], a[1]);
    floats high = _mm512_unpacklo_ps(a[2], a[3]) + _mm512_unpackhi_ps(a[2], a[3]);
    __m512d lows = _mm512_castps_pd(low), highs = _mm512_castps_pd(high);
    floats each = _mm512_castpd_ps(_mm512_unpacklo_pd(lows, highs)) + _mm512_castpd_ps(_mm512_unpackhi_pd(lows, highs));
    return (_mm512_castps512_ps128(each) + _mm512_extractf32x4_ps(each, 1)) +
           (_mm512_extractf32x4_ps(each, 2) + _mm512_extractf32x4_ps(each, 3));
}
static inline floats widen16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline floats widenb16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
enum { WIDE = 8, TOKENS = 3 };
typedef __m256 floats;
#define load _mm256_loadu_ps
#define store _mm256_storeu_ps
#define fma_ _mm256_fmadd_ps
#define zero _mm256_setzero_ps
#define all _mm256_set1_ps
static inline float total(floats a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline __m128 totals(const floats *a) {
    floats each = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    return _mm_add_ps(_mm256_castps256_ps128(each), _mm256_extractf128_ps(each, 1));
}
static inline floats widen16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline floats widenb16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
#else
#error "this processor lacks AVX2, FMA or F16C"
#endif

#define INLINE static inline __attribute__((always_inline))
enum { HALF, BRAIN, SINGLE, SHORT_BRAIN, SHORT_SINGLE }; /* float16, bfloat16, float32, and the last two packed */
enum { ROWS = 4, MOST = 6, PANEL = 32, DEPTH = 1024 };
enum { PARTS = 2, FEWEST = 8, MOST_TAKEN = 256, TAKEN_BYTES = 1 << 20 };

typedef struct {
    uint32_t column;
    float value;
} Other;

typedef struct {
    const void *weight;
    const float *bias; /* or NULL */
    int64_t rows, columns, type;
    const uint8_t *codes; /* of packed weights: what the codes stand for, */
    const int32_t *first; /* for each row the first weight that has none, */
    const Other *others;  /* and those weights */
} Matrix;

INLINE const char *at(const void *weight, int64_t place, int type) {
    return (const char *)weight + place * (type == SINGLE ? 4 : 2);
}

INLINE floats widened(const void *weight, int64_t place, int type) {
    const char *p = at(weight, place, type);
    if (type == SINGLE) return load((const float *)p);
    return type == BRAIN ? widenb16((const uint16_t *)p) : widen16((const uint16_t *)p);
}

static inline float single(const void *weight, int64_t place, int64_t type) {
    uint32_t bits;
    float value;
    if (type == SINGLE) return ((const float *)weight)[place];
    if (type == HALF) return _cvtsh_ss(((const uint16_t *)weight)[place]);
    bits = (uint32_t)((const uint16_t *)weight)[place] << 16;
    memcpy(&value, &bits, 4);
    return value;
}

#include "packed.h"

/* The products of some rows of weights with one x. */
INLINE void dots(const void *w, const float *x, int64_t columns, int rows, int type, float *out) {
    floats even[ROWS], odd[ROWS];
    int64_t i = 0;
    for (int r = 0; r < rows; r++) even[r] = odd[r] = zero();
    for (; i + 2 * WIDE <= columns; i += 2 * WIDE) {
        floats x0 = load(x + i), x1 = load(x + i + WIDE);
        for (int r = 0; r < rows; r++) {
            /* the processor looks ahead by itself, but no further than a page of 4 KB */
            _mm_prefetch(at(w, (rows + r) * columns + i, type), _MM_HINT_T1);
            if (type == SINGLE) _mm_prefetch(at(w, (rows + r) * columns + i + WIDE, type), _MM_HINT_T1);
            even[r] = fma_(widened(w, r * columns + i, type), x0, even[r]);
            odd[r] = fma_(widened(w, r * columns + i + WIDE, type), x1, odd[r]);
        }
    }
    for (int r = 0; r < rows; r++) even[r] += odd[r];
    if (rows == ROWS) _mm_storeu_ps(out, totals(even));
    else for (int r = 0; r < rows; r++) out[r] = total(even[r]);
    for (; i < columns; i++)
        for (int r = 0; r < rows; r++) out[r] += single(w, r * columns + i, type) * x[i];
}

/* The products of ``count`` rows from ``row`` on with one x, bias and all. */
static void some(const Matrix *m, const float *x, int64_t row, int64_t count, float *out) {
    int type = (int)m->type;
    if (type > SINGLE) some_short(m, x, row, count, out);
    for (int64_t r = type > SINGLE ? count : 0, many; r < count; r += many) {
        const void *w = at(m->weight, (row + r) * m->columns, type);
        many = count - r < ROWS ? 1 : ROWS;
        if (many == 1) dots(w, x, m->columns, 1, type, out + r);
        else if (type == HALF) dots(w, x, m->columns, ROWS, HALF, out + r);
        else if (type == BRAIN) dots(w, x, m->columns, ROWS, BRAIN, out + r);
        else dots(w, x, m->columns, ROWS, SINGLE, out + r);
    }
    if (m->bias)
        for (int64_t r = 0; r < count; r++) out[r] += m->bias[row + r];
}

/* Take the next rows of a product for one thread: many while many are left, for rows that follow each other are read
   ahead, and few at the end, for threads wait for the last one. Returns their number, 0 where none is left. */
static int64_t take(atomic_long *next, int64_t rows, int64_t columns, int64_t threads, long *row) {
    int64_t most = threads == 1 ? MOST_TAKEN : TAKEN_BYTES / (2 * columns), count;
    *row = atomic_load_explicit(next, memory_order_relaxed);
    do {
        int64_t left = rows - *row, part = threads == 1 ? left : left / (PARTS * threads);
        if (left <= 0) return 0;
        part = (part < most ? part : most) / FEWEST * FEWEST;
        part = part < FEWEST ? FEWEST : part > MOST_TAKEN ? MOST_TAKEN : part;
        count = left < part ? left : part;
    } while (!atomic_compare_exchange_weak(next, row, *row + count));
    return count;
}

/* Widened rows of weights [rows, DEPTH] times some tokens; adds to y where it is not the first part of the sum. */
INLINE void tile(const float *x, int64_t x_step, const float *w, int64_t depth, float *y, int64_t y_step,
                 int tokens, int rows, int add) {
    floats sum[MOST][ROWS];
    int64_t i = 0;
    for (int t = 0; t < tokens; t++)
        for (int r = 0; r < rows; r++) sum[t][r] = zero();
    for (; i + WIDE <= depth; i += WIDE) {
        floats part[ROWS];
        for (int r = 0; r < rows; r++) part[r] = load(w + r * DEPTH + i);
        for (int t = 0; t < tokens; t++) {
            floats value = load(x + t * x_step + i);
            for (int r = 0; r < rows; r++) sum[t][r] = fma_(part[r], value, sum[t][r]);
        }
    }
    for (int t = 0; t < tokens; t++) {
        float found[ROWS], *there = y + t * y_step;
        if (rows == ROWS) _mm_storeu_ps(found, totals(sum[t]));
        else for (int r = 0; r < rows; r++) found[r] = total(sum[t][r]);
        for (int r = 0; r < rows; r++) {
            for (int64_t j = i; j < depth; j++) found[r] += w[r * DEPTH + j] * x[t * x_step + j];
            there[r] = add ? there[r] + found[r] : found[r];
        }
    }
}

/* The same for up to TOKENS tokens and ROWS rows, with the numbers known to the compiler. */
static void tiles(const float *x, const Matrix *m, const float *w, int64_t depth, float *y, int tokens, int add) {
    switch (tokens) {
    case 1: tile(x, m->columns, w, depth, y, m->rows, 1, ROWS, add); break;
    case 2: tile(x, m->columns, w, depth, y, m->rows, 2, ROWS, add); break;
    case 3: tile(x, m->columns, w, depth, y, m->rows, 3, ROWS, add); break;
    case 4: tile(x, m->columns, w, depth, y, m->rows, 4, ROWS, add); break;
    case 5: tile(x, m->columns, w, depth, y, m->rows, 5, ROWS, add); break;
    default: tile(x, m->columns, w, depth, y, m->rows, TOKENS, ROWS, add);
    }
}

static void panel(const Matrix *m, const float *x, int64_t tokens, int64_t row, int64_t count, float *y) {
    float wide[PANEL * DEPTH] __attribute__((aligned(64)));
    for (int64_t from = 0; from < m->columns; from += DEPTH) {
        int64_t depth = m->columns - from < DEPTH ? m->columns - from : DEPTH, t = 0;
        for (int64_t r = 0; r < count; r++) {
            int64_t w = (row + r) * m->columns + from, i = 0;
            if (m->type > SINGLE) {
                short_row(m, row + r, from, depth, wide + r * DEPTH);
                continue;
            }
            for (; i + WIDE <= depth; i += WIDE) store(wide + r * DEPTH + i, widened(m->weight, w + i, (int)m->type));
            for (; i < depth; i++) wide[r * DEPTH + i] = single(m->weight, w + i, m->type);
        }
        while (t < tokens) {
            int many = tokens - t < TOKENS ? (int)(tokens - t) : TOKENS;
            const float *here = x + t * m->columns + from;
            float *there = y + t * m->rows + row;
            int64_t r = 0;
            for (; r + ROWS <= count; r += ROWS) tiles(here, m, wide + r * DEPTH, depth, there + r, many, from > 0);
            for (; r < count; r++)
                for (int s = 0; s < many; s++)
                    tile(here + s * m->columns, m->columns, wide + r * DEPTH, depth, there + s * m->rows + r, m->rows, 1,
                         1, from > 0);
            t += many;
        }
    }
    if (m->bias)
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t r = row; r < row + count; r++) y[t * m->rows + r] += m->bias[r];
}

/* y = x W^T + b for any number of tokens. */
void multiply(const Matrix *m, const float *x, int64_t tokens, float *y, int64_t threads) {
    atomic_long next = 0;
#pragma omp parallel num_threads((int)threads) if (threads > 1)
    if (tokens == 1) {
        long row;
        for (int64_t count; (count = take(&next, m->rows, m->columns, threads, &row));) some(m, x, row, count, y + row);
    } else
        for (int64_t row; (row = atomic_fetch_add(&next, PANEL)) < m->rows;)
            panel(m, x, tokens, row, m->rows - row < PANEL ? m->rows - row : PANEL, y);
}
