/* Weights in fewer bits than they are stored in, and not one bit lost.

   The eight highest bits of a bfloat16 or float32 are its sign and most of its exponent, and in one matrix nearly all
   exponents lie within a few octaves. So these eight bits become a code of four, for the seven commonest pairs of
   octaves and for zero: 12 bits instead of 16, 28 instead of 32. The few weights of other octaves are zero there, stand
   in a list, and are added. A token waits for the reading of matrices; turning codes back is a shuffle meanwhile.

   Columns are a multiple of BLOCK. A block of a row is the second eight bits of its weights, then their codes, then
   (float32) their lower halves; weights lie so that unpacking leaves them in the order of x. */

enum { BLOCK = 64, KNOWN = 7, SECOND = BLOCK, CODED = BLOCK + BLOCK / 2 };

static inline int64_t block_bytes(int type) { return type == SHORT_SINGLE ? CODED + 2 * BLOCK : CODED; }

/* Where the second eight bits of a column of a block lie. */
static inline int64_t position(int64_t column) {
    int64_t part = column / 16, lane = column % 16 / 4, word = column % 4;
    return 16 * lane + 8 * (part / 2) + 2 * word + part % 2;
}

#ifdef __AVX512F__
enum { PIECES = 4, SHORT_ROWS = 8 };
typedef struct {
    __m512i codes, shifts, low, top;
} Decoding;
INLINE Decoding decoding(const uint8_t *codes) {
    return (Decoding){_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)codes)),
                      _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1), _mm512_set1_epi8(15),
                      _mm512_set1_epi32((int)0xffff0000)};
}
/* 64 weights, in vectors of which piece i begins at column 16 i. */
INLINE void unpack(const uint8_t *block, int type, const Decoding *d, floats *out) {
    __m512i second = _mm512_loadu_si512(block);
    __m512i code = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block + SECOND)));
    __m512i first = _mm512_shuffle_epi8(d->codes, _mm512_and_si512(_mm512_srlv_epi16(code, d->shifts), d->low));
    __m512i low = _mm512_unpacklo_epi8(second, first), high = _mm512_unpackhi_epi8(second, first);
    __m512i bits[4] = {_mm512_slli_epi32(low, 16), _mm512_and_si512(low, d->top), _mm512_slli_epi32(high, 16),
                       _mm512_and_si512(high, d->top)};
    for (int i = 0; i < 4; i++) {
        if (type == SHORT_SINGLE) {
            const uint8_t *lower = block + CODED + 32 * i;
            bits[i] = _mm512_or_si512(bits[i], _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)lower)));
        }
        out[i] = _mm512_castsi512_ps(bits[i]);
    }
}
INLINE int64_t piece_at(int i) { return 16 * i; }
#else
enum { PIECES = 8, SHORT_ROWS = 4 };
typedef struct {
    __m256i codes, low, top;
} Decoding;
INLINE Decoding decoding(const uint8_t *codes) {
    return (Decoding){_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)codes)), _mm256_set1_epi8(15),
                      _mm256_set1_epi32((int)0xffff0000)};
}
/* 64 weights, in vectors of which piece i begins at column 16 (i % 4) + 8 (i / 4). */
INLINE void unpack(const uint8_t *block, int type, const Decoding *d, floats *out) {
    __m256i code = _mm256_loadu_si256((const __m256i *)(block + SECOND));
    for (int half = 0; half < 2; half++) {
        __m256i second = _mm256_loadu_si256((const __m256i *)(block + 32 * half));
        __m256i mine = _mm256_and_si256(half ? _mm256_srli_epi16(code, 4) : code, d->low);
        __m256i first = _mm256_shuffle_epi8(d->codes, mine);
        __m256i low = _mm256_unpacklo_epi8(second, first), high = _mm256_unpackhi_epi8(second, first);
        __m256i bits[4] = {_mm256_slli_epi32(low, 16), _mm256_and_si256(low, d->top), _mm256_slli_epi32(high, 16),
                           _mm256_and_si256(high, d->top)};
        for (int i = 0; i < 4; i++) {
            if (type == SHORT_SINGLE) {
                const uint8_t *lower = block + CODED + 32 * i + 16 * half;
                bits[i] = _mm256_or_si256(bits[i], _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)lower)));
            }
            out[4 * half + i] = _mm256_castsi256_ps(bits[i]);
        }
    }
}
INLINE int64_t piece_at(int i) { return 16 * (i % 4) + 8 * (i / 4); }
#endif

/* The products of some packed rows from ``row`` on with one x. */
INLINE void short_dots(const Matrix *m, const float *x, int64_t row, int rows, int type, float *out) {
    enum { CHAINS = 8 / PIECES };
    Decoding how = decoding(m->codes);
    int64_t size = block_bytes(type), stride = m->columns / BLOCK * size;
    const uint8_t *block = (const uint8_t *)m->weight + row * stride;
    floats sums[SHORT_ROWS][CHAINS], part[PIECES];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < CHAINS; c++) sums[r][c] = zero();
    for (int64_t i = 0; i < m->columns; i += BLOCK, block += size)
        for (int r = 0; r < rows; r++) {
            for (int64_t line = 0; line < size; line += 64)
                _mm_prefetch((const char *)block + (rows + r) * stride + line, _MM_HINT_T1);
            unpack(block + r * stride, type, &how, part);
            for (int p = 0; p < PIECES; p++)
                sums[r][p % CHAINS] = fma_(part[p], load(x + i + piece_at(p)), sums[r][p % CHAINS]);
        }
    for (int r = 0; r < rows; r++) {
        floats sum = sums[r][0];
        for (int c = 1; c < CHAINS; c++) sum += sums[r][c];
        out[r] = total(sum);
        for (int32_t e = m->first[row + r]; e < m->first[row + r + 1]; e++)
            out[r] += m->others[e].value * x[m->others[e].column];
    }
}

/* The same for ``count`` rows. */
static void some_short(const Matrix *m, const float *x, int64_t row, int64_t count, float *out) {
    int64_t r = 0;
    if (m->type == SHORT_BRAIN)
        for (; r + SHORT_ROWS <= count; r += SHORT_ROWS) short_dots(m, x, row + r, SHORT_ROWS, SHORT_BRAIN, out + r);
    else
        for (; r + SHORT_ROWS <= count; r += SHORT_ROWS) short_dots(m, x, row + r, SHORT_ROWS, SHORT_SINGLE, out + r);
    for (; r < count; r++) short_dots(m, x, row + r, 1, (int)m->type, out + r);
}

/* Part of a packed row as float32; ``from`` begins a block. */
static void short_row(const Matrix *m, int64_t row, int64_t from, int64_t depth, float *out) {
    Decoding how = decoding(m->codes);
    int64_t size = block_bytes((int)m->type);
    const uint8_t *block = (const uint8_t *)m->weight + (row * m->columns + from) / BLOCK * size;
    floats part[PIECES];
    for (int64_t i = 0; i < depth; i += BLOCK, block += size) {
        if (m->type == SHORT_BRAIN) unpack(block, SHORT_BRAIN, &how, part);
        else unpack(block, SHORT_SINGLE, &how, part);
        for (int p = 0; p < PIECES; p++) store(out + i + piece_at(p), part[p]);
    }
    for (int32_t e = m->first[row]; e < m->first[row + 1]; e++) {
        int64_t column = m->others[e].column - from;
        if (column >= 0 && column < depth) out[column] = m->others[e].value;
    }
}

static inline uint32_t bits_of(const void *weight, int64_t place, int64_t type) {
    return type == SINGLE ? ((const uint32_t *)weight)[place] : (uint32_t)((const uint16_t *)weight)[place] << 16;
}

/* Choose codes[16] for ``weight`` (bfloat16 or float32), fill first[rows + 1], return how many weights have no code. */
int64_t choose(const void *weight, int64_t type, int64_t rows, int64_t columns, uint8_t *codes, int32_t *first,
               int64_t threads) {
    int64_t counts[128] = {0}, found = 0;
    uint8_t known[128] = {1};
    for (int64_t i = 0; i < rows * columns; i += rows * columns < 1 << 20 ? 1 : 7)
        counts[bits_of(weight, i, type) >> 24 & 127]++;
    memset(codes, 0, 16);
    for (int k = 1; k <= KNOWN; k++) {
        int best = 0;
        for (int i = 1; i < 128; i++)
            if (!known[i] && (!best || counts[i] > counts[best])) best = i;
        known[best] = 1;
        codes[k] = (uint8_t)best;
    }
    for (int k = 0; k <= KNOWN; k++) codes[k + 8] = codes[k] | 128;
#pragma omp parallel for num_threads((int)threads) if (threads > 1)
    for (int64_t row = 0; row < rows; row++) {
        int32_t count = 0;
        for (int64_t i = row * columns; i < (row + 1) * columns; i++)
            count += !known[bits_of(weight, i, type) >> 24 & 127];
        first[row + 1] = count;
    }
    first[0] = 0;
    for (int64_t row = 0; row < rows; row++) {
        found += first[row + 1];
        first[row + 1] = (int32_t)(found < INT32_MAX ? found : INT32_MAX);
    }
    return found;
}

/* Pack ``weight`` with what ``choose`` found; others has room for as many as it counted. */
void pack(const void *weight, int64_t type, int64_t rows, int64_t columns, const uint8_t *codes, const int32_t *first,
          uint8_t *out, Other *others, int64_t threads) {
    int64_t size = block_bytes(type == SINGLE ? SHORT_SINGLE : SHORT_BRAIN);
    uint8_t code_of[256];
    memset(code_of, 255, sizeof code_of);
    for (int k = 0; k < 16; k++) code_of[codes[k]] = (uint8_t)k;
#pragma omp parallel for num_threads((int)threads) if (threads > 1)
    for (int64_t row = 0; row < rows; row++) {
        Other *other = others + first[row];
        uint8_t *block = out + row * (columns / BLOCK) * size;
        for (int64_t i = 0; i < columns; i++) {
            int64_t here = position(i % BLOCK);
            uint32_t bits = bits_of(weight, row * columns + i, type);
            uint16_t lower = (uint16_t)bits;
            uint8_t code = code_of[bits >> 24], second = (uint8_t)(bits >> 16);
            if (i && i % BLOCK == 0) block += size;
            if (i % BLOCK == 0) memset(block, 0, CODED);
            if (code == 255) {
                *other++ = (Other){(uint32_t)i, single(weight, row * columns + i, type)};
                code = second = 0;
                lower = 0;
            }
            block[here] = second;
            block[SECOND + here % 32] |= (uint8_t)(code << (here < 32 ? 0 : 4));
            if (type == SINGLE) memcpy(block + CODED + i % BLOCK * 2, &lower, 2);
        }
    }
}
