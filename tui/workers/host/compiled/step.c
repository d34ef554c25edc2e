/* One token's step through a model that is built like Llama; activations and the key-value cache are float32. */

#include "products.h"

#include <limits.h>
#include <linux/futex.h>
#include <math.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    Matrix attend, attended, widen, narrow; /* query, key and value in one; gate and up in one */
    const float *first_norm, *second_norm, *query_norm, *key_norm; /* the last two or NULL */
} Block;

typedef struct {
    int64_t hidden, heads, key_heads, head_size, layers;
    float epsilon, scale;
    const Block *blocks;
    const float *final_norm;
    Matrix head;
    const void *embedding;
    int64_t embedding_type;
    float *row, *read, *seen, *wide; /* one token's rows, shared by the threads */
    float *own; /* for each thread: a row, a query, a key and the scores of the whole room */
    int64_t own_size;
    atomic_long *taken; /* one counter for each of 5 stages of a layer, and one for the head */
} Model;

/* Threads meet here after every product. They spin for some 20 us, make way a few times, and then sleep: where the
   machine has other work, whoever is waited for may take a core that this frees. */
typedef struct {
    atomic_int here, round, asleep;
} Meeting;

enum { SPINS = 400, WAYS = 8 };

static void meet(Meeting *meeting, int threads) {
    int round = atomic_load(&meeting->round);
    if (threads == 1) return;
    if (atomic_fetch_add(&meeting->here, 1) == threads - 1) {
        atomic_store(&meeting->here, 0);
        atomic_fetch_add(&meeting->round, 1);
        if (atomic_load(&meeting->asleep))
            syscall(SYS_futex, &meeting->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    for (int tries = 0; tries < SPINS + WAYS; tries++) {
        if (atomic_load_explicit(&meeting->round, memory_order_acquire) != round) return;
        if (tries < SPINS) _mm_pause();
        else sched_yield();
    }
    atomic_fetch_add(&meeting->asleep, 1);
    while (atomic_load(&meeting->round) == round)
        syscall(SYS_futex, &meeting->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    atomic_fetch_sub(&meeting->asleep, 1);
}

static void normed(const float *x, const float *weight, int64_t size, float epsilon, float *out) {
    floats sums = zero();
    float sum = 0;
    int64_t i = 0;
    for (; i + WIDE <= size; i += WIDE) sums = fma_(load(x + i), load(x + i), sums);
    sum = total(sums);
    for (; i < size; i++) sum += x[i] * x[i];
    sum = 1 / sqrtf(sum / (float)size + epsilon);
    for (i = 0; i < size; i++) out[i] = x[i] * sum * weight[i];
}

/* One head, normed where the model does that, with its two halves turned; the pairs come to stand side by side. */
static void turned(const Model *m, const float *head, const float *norm, const float *turns, float *out) {
    int64_t half = m->head_size / 2;
    float plain[2 * half];
    if (norm) normed(head, norm, m->head_size, m->epsilon, plain);
    else memcpy(plain, head, sizeof plain);
    for (int64_t i = 0; i < half; i++) {
        float cos = turns[2 * i], sin = turns[2 * i + 1];
        out[2 * i] = plain[i] * cos - plain[half + i] * sin;
        out[2 * i + 1] = plain[i] * sin + plain[half + i] * cos;
    }
}

static float dot(const float *a, const float *b, int64_t size) {
    floats sums = zero();
    float sum;
    int64_t i = 0;
    for (; i + WIDE <= size; i += WIDE) sums = fma_(load(a + i), load(b + i), sums);
    sum = total(sums);
    for (; i < size; i++) sum += a[i] * b[i];
    return sum;
}

/* e^x for x <= 0: 2^n e^r with |r| <= ln(2)/2 and the series of e^r up to r^6. */
static inline float power(float x) {
    float n, r, series;
    int32_t bits;
    x = x < -87.0f ? -87.0f : x;
    n = nearbyintf(x * 1.44269504f);
    r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    series = 1 + r * (1 + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
    memcpy(&bits, &series, 4);
    bits += (int32_t)n << 23;
    memcpy(&series, &bits, 4);
    return series;
}

/* One query head over what the cache holds, and the token itself, whose key and value are not read from the cache. */
static void attend(const Model *m, const Block *b, float *keys, float *values, int64_t capacity, int64_t place,
                   const float *turns, int64_t head, float *own) {
    int64_t size = m->head_size, group = m->heads / m->key_heads, from = head / group;
    float *query = own, *key = own + size, *scores = own + 2 * size, highest, sum = 0;
    const float *value = m->read + (m->heads + m->key_heads + from) * size;
    float *out = m->seen + head * size;
    keys += from * capacity * size;
    values += from * capacity * size;
    turned(m, m->read + head * size, b->query_norm, turns, query);
    turned(m, m->read + (m->heads + from) * size, b->key_norm, turns, key);
    highest = scores[place] = dot(query, key, size) * m->scale;
    for (int64_t i = 0; i < place; i++) {
        scores[i] = dot(query, keys + i * size, size) * m->scale;
        highest = scores[i] > highest ? scores[i] : highest;
    }
    for (int64_t i = 0; i <= place; i++) scores[i] = power(scores[i] - highest);
    for (int64_t i = 0; i <= place; i++) sum += scores[i];
    for (int64_t d = 0; d < size; d += 4 * WIDE) {
        floats part[4] = {zero(), zero(), zero(), zero()};
        int64_t vectors = (size - d) / WIDE < 4 ? (size - d) / WIDE : 4;
        if (vectors == 4)
            for (int64_t i = 0; i <= place; i++) {
                const float *v = (i < place ? values + i * size : value) + d;
                floats share = all(scores[i]);
                for (int j = 0; j < 4; j++) part[j] = fma_(share, load(v + j * WIDE), part[j]);
            }
        else
            for (int64_t i = 0; i <= place; i++) {
                const float *v = (i < place ? values + i * size : value) + d;
                for (int64_t j = 0; j < vectors; j++) part[j] = fma_(all(scores[i]), load(v + j * WIDE), part[j]);
            }
        for (int64_t j = 0; j < vectors; j++) store(out + d + j * WIDE, part[j] / all(sum));
    }
    for (int64_t d = size / WIDE * WIDE; d < size; d++) {
        out[d] = 0;
        for (int64_t i = 0; i <= place; i++) out[d] += scores[i] * (i < place ? values + i * size : value)[d];
        out[d] /= sum;
    }
    if (head % group == 0) {
        memcpy(keys + place * size, key, 4 * size);
        memcpy(values + place * size, value, 4 * size);
    }
}

enum { PLAIN, ADDED, GATED };

/* The share of one thread in a product; rows are added to y, or a gate's row and its partner's become one. */
static void share(const Matrix *m, const float *x, float *y, int how, atomic_long *next, int64_t threads) {
    int64_t rows = how == GATED ? m->rows / 2 : m->rows, count;
    float first[MOST_TAKEN], second[MOST_TAKEN];
    long row;
    while ((count = take(next, rows, m->columns, threads, &row))) {
        if (how == PLAIN) some(m, x, row, count, y + row);
        else some(m, x, row, count, first);
        if (how == ADDED)
            for (int64_t r = 0; r < count; r++) y[row + r] += first[r];
        if (how == GATED) {
            some(m, x, rows + row, count, second);
            for (int64_t r = 0; r < count; r++) {
                float other = power(-fabsf(first[r])), gate = first[r] / (1 + other);
                y[row + r] = (first[r] < 0 ? gate * other : gate) * second[r];
            }
        }
    }
}

/* Take ``token`` at ``place`` through all layers; turns: cosine and sine of each pair. keys and values of each layer
   are [key heads, capacity, head size]. */
void step(const Model *m, int64_t token, int64_t place, float *const *keys, float *const *values, int64_t capacity,
          const float *turns, float *logits, int64_t threads) {
    Meeting meeting = {0, 0, 0};
    int64_t stages = 5 * m->layers + 1;
    for (int64_t i = 0; i < stages; i++) m->taken[i] = 0;
    for (int64_t i = 0; i < m->hidden; i++) m->row[i] = single(m->embedding, token * m->hidden + i, m->embedding_type);
#pragma omp parallel num_threads((int)threads) if (threads > 1)
    {
        int together = 1, mine = 0;
#ifdef _OPENMP
        extern int omp_get_num_threads(void), omp_get_thread_num(void);
        together = omp_get_num_threads();
        mine = omp_get_thread_num();
#endif
        float *own = m->own + mine * m->own_size, *rest = own + m->hidden;
        atomic_long *next = m->taken;
        for (int64_t layer = 0; layer < m->layers; layer++) {
            const Block *b = m->blocks + layer;
            int64_t head;
            normed(m->row, b->first_norm, m->hidden, m->epsilon, own);
            share(&b->attend, own, m->read, PLAIN, next++, together);
            meet(&meeting, together);
            while ((head = atomic_fetch_add(next, 1)) < m->heads)
                attend(m, b, keys[layer], values[layer], capacity, place, turns, head, rest);
            next++;
            meet(&meeting, together);
            share(&b->attended, m->seen, m->row, ADDED, next++, together);
            meet(&meeting, together);
            normed(m->row, b->second_norm, m->hidden, m->epsilon, own);
            share(&b->widen, own, m->wide, GATED, next++, together);
            meet(&meeting, together);
            share(&b->narrow, m->wide, m->row, ADDED, next++, together);
            meet(&meeting, together);
        }
        normed(m->row, m->final_norm, m->hidden, m->epsilon, own);
        share(&m->head, own, logits, PLAIN, next, together);
    }
}
