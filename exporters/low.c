/* Makes low blocks (offload/planes.h) of blocks: for every run of quants that share a scale, the scale and the codes
 * with which a few given levels come nearest to it in squared error.
 *
 * Codes are chosen for a scale, then the scale for the codes, by turns and from several scales to begin with, which
 * comes near to the best there is. All is done in a run's own quants: `ratio * level + offset` stands in for one.
 */
#include "../offload/planes.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT

enum { MOST = 16, TURNS = 2 };

typedef int8_t Small __attribute__((vector_size(16))); /* compilers make vectors of these as wide as they have them */
typedef int16_t Middle __attribute__((vector_size(32)));
typedef int32_t Large __attribute__((vector_size(64)));
typedef int32_t Quarter __attribute__((vector_size(16)));

typedef struct {
    int count;
    int8_t level[MOST];
    uint8_t step[MOST]; /* from each level to the next */
    float middle[MOST];
    float full; /* ratio at which the widest level is the widest quant */
} Levels;

typedef struct { /* sums over a run: of the levels chosen, their squares, and quants times levels */
    float l, ll, ql;
} Sums;

typedef struct {
    float ratio, offset;
} Fit;

typedef struct { /* what became of all blocks so far */
    double error, whole; /* squares of what is lost, and of what there was */
    double levels;       /* whether the rest is wanted: what each level stands for, in levels */
    double sum[MOST], weight[MOST];
} Account;

INLINE Small taken(const int8_t *from) {
    Small quants;
    memcpy(&quants, from, sizeof quants);
    return quants;
}

/* Of products of quants and levels, two of which never exceed 16 bits. */
INLINE float sum_of(const Middle *numbers) {
    Large wide = __builtin_convertvector(*numbers, Large);
    Quarter parts[4];
    memcpy(parts, &wide, sizeof parts);
    Quarter sums = parts[0] + parts[1] + parts[2] + parts[3];
    return (float) (sums[0] + sums[1] + sums[2] + sums[3]);
}

/* Sums with the level nearest to each of n quants (16 or 32, known to the compiler), and the levels' numbers where they
 * are wanted; the ratio is not negative. */
INLINE Sums nearest(const Levels *levels, const int8_t *quants, int n, float ratio, float offset, uint8_t *codes) {
    Small near[2] = {(Small){} + levels->level[0], (Small){} + levels->level[0]}, reached[2] = {};
    Middle l = {}, ll = {}, ql = {};
    for (int j = 0; j + 1 < levels->count; j++) {
        float bound = floorf(levels->middle[j] * ratio + offset); /* above lies what is nearer to the next level */
        Small most = (Small){} + (int8_t) (bound < -128 ? -128 : bound > 127 ? 127 : bound);
        Small step = (Small){} + (int8_t) levels->step[j];
        for (int i = 0; i < n / 16; i++) {
            Small above = taken(quants + 16 * i) > most;
            near[i] += above & step;
            reached[i] -= above;
        }
    }
    for (int i = 0; i < n / 16; i++) {
        Middle chosen = __builtin_convertvector(near[i], Middle);
        l += chosen;
        ll += chosen * chosen;
        ql += chosen * __builtin_convertvector(taken(quants + 16 * i), Middle);
    }
    if (codes) memcpy(codes, reached, (size_t) n);
    return (Sums){sum_of(&l), sum_of(&ll), sum_of(&ql)};
}

/* The best ratio without an offset; negative where the levels fit better upside down. */
INLINE float fit_ratio(const Levels *levels, const int8_t *quants, int n) {
    static const float starts[] = {0.6f, 0.75f, 0.9f, 1.05f, 1.25f};
    int8_t turned[32];
    float best = 0, ratio = 0; /* where nothing is gained, nothing is what comes nearest */
    for (int i = 0; i < n; i++) turned[i] = (int8_t) -quants[i];
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int start = 0; start < 5; start++) {
            Sums sums = nearest(levels, sign > 0 ? quants : turned, n, starts[start] * levels->full, 0, NULL);
            if (sums.ql <= 0 || sums.ql * sums.ql <= best * sums.ll) continue;
            best = sums.ql * sums.ql / sums.ll;
            ratio = (float) sign * sums.ql / sums.ll;
        }
    }
    for (int turn = 0; turn < TURNS; turn++) {
        Sums sums = nearest(levels, ratio > 0 ? quants : turned, n, fabsf(ratio), 0, NULL);
        if (sums.ql > 0) ratio = copysignf(sums.ql / sums.ll, ratio);
    }
    return ratio;
}

/* The sum of quants, and of their squares. */
INLINE Sums total(const int8_t *quants, int n) {
    Middle l = {}, ll = {};
    for (int i = 0; i < n / 16; i++) {
        Middle these = __builtin_convertvector(taken(quants + 16 * i), Middle);
        l += these;
        ll += these * these;
    }
    return (Sums){sum_of(&l), sum_of(&ll), 0};
}

/* The best ratio and offset, the ratio positive. */
INLINE Fit fit_both(const Levels *levels, const int8_t *quants, int n) {
    static const float starts[] = {0.7f, 0.8f, 0.9f, 1.0f, 1.15f};
    float q = total(quants, n).l, best = -1, middle = (levels->level[0] + levels->level[levels->count - 1]) / 2.0f;
    Fit fit = {levels->full, 0};
    for (int start = 0; start < 10; start++) {
        float ratio = starts[start % 5] * levels->full, centre = start < 5 ? q / (float) n : 7.5f;
        Sums sums = nearest(levels, quants, n, ratio, centre - ratio * middle, NULL);
        float both = (float) n * sums.ql - q * sums.l, spread = (float) n * sums.ll - sums.l * sums.l;
        if (both <= 0 || spread <= 0 || both * both <= best * spread) continue;
        best = both * both / spread;
        fit.ratio = both / spread;
        fit.offset = (q - fit.ratio * sums.l) / (float) n;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        Sums sums = nearest(levels, quants, n, fit.ratio, fit.offset, NULL);
        float both = (float) n * sums.ql - q * sums.l, spread = (float) n * sums.ll - sums.l * sums.l;
        if (both <= 0 || spread <= 0) break;
        fit.ratio = both / spread;
        fit.offset = (q - fit.ratio * sums.l) / (float) n;
    }
    return fit;
}

/* Chooses the codes for a fit that stands, and adds up what they cost; `zero` is the quant that means nothing. */
INLINE void settle(const Levels *levels, const int8_t *quants, int n, Fit fit, double scale, float zero, uint8_t *codes,
                   Account *account) {
    int8_t turned[32];
    for (int i = 0; i < n; i++) turned[i] = (int8_t) (fit.ratio < 0 ? -quants[i] : quants[i]);
    Sums sums = nearest(levels, turned, n, fabsf(fit.ratio), fit.offset, codes), own = total(quants, n);
    float ql = fit.ratio < 0 ? -sums.ql : sums.ql, r = fit.ratio, o = fit.offset, many = (float) n;
    double square = scale * scale;
    if (!(square < 1e300)) return; /* of a scale that is no number */
    account->whole += square * (own.ll - 2 * zero * own.l + many * zero * zero);
    float stand_ins = r * r * sums.ll + 2 * r * o * sums.l + many * o * o;
    account->error += square * (own.ll - 2 * (r * ql + o * own.l) + stand_ins);
    for (int i = 0; i < n && account->levels; i++) {
        account->sum[codes[i]] += square * r * (quants[i] - o);
        account->weight[codes[i]] += square * r * r;
    }
}

static float from_half(const uint8_t *at) {
    uint32_t half = (uint32_t) at[0] | (uint32_t) at[1] << 8, exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? ldexpf((float) (1024 + fraction), (int) exponent - 25)
                                : ldexpf((float) fraction, -24);
    return half >> 15 ? -size : size;
}

/* To the nearest half; what is too large becomes the largest. */
static void to_half(float value, uint8_t *at) {
    int exponent = 0;
    float size = fabsf(value);
    uint32_t half = 0x7bff;
    if (size < 65504) {
        frexpf(size, &exponent);
        if (size == 0 || exponent < -13) exponent = -13; /* below, halves are evenly spaced */
        half = (uint32_t) lrintf(ldexpf(size, 11 - exponent)); /* a carry rightly raises the exponent */
        half += (uint32_t) (exponent + 13) << 10;
    }
    half |= signbit(value) ? 0x8000 : 0;
    at[0] = (uint8_t) half, at[1] = (uint8_t) (half >> 8);
}

static int clamped(float value, int low, int high) {
    return value > (float) low ? value < (float) high ? (int) lrintf(value) : high : low;
}

/* A block of one half and 32 quants: codes for the best half. */
static void encode_scaled(
    const Levels *levels, const uint8_t *scale, const int8_t *quants, uint8_t *low, uint8_t *codes, Account *account
) {
    float d = from_half(scale), ratio = fit_ratio(levels, quants, 32);
    memcpy(low, scale, 2);
    if (isfinite(d) && d != 0) {
        to_half(d * ratio, low);
        ratio = from_half(low) / d;
    }
    settle(levels, quants, 32, (Fit){ratio, 0}, d, 0, codes, account);
}

static void encode_q4_0(const Levels *levels, const uint8_t *block, uint8_t *low, Account *account) {
    int8_t quants[32];
    uint8_t codes[32];
    for (int i = 0; i < 16; i++) {
        quants[i] = (int8_t) ((block[2 + i] & 15) - 8);
        quants[i + 16] = (int8_t) ((block[2 + i] >> 4) - 8);
    }
    encode_scaled(levels, block, quants, low, codes, account);
    for (int k = 0; k < 8; k++)
        low[2 + k] = (uint8_t) (codes[k] | codes[k + 16] << 2 | codes[k + 8] << 4 | codes[k + 24] << 6);
}

static void encode_q8_0(const Levels *levels, const uint8_t *block, uint8_t *low, Account *account) {
    int8_t quants[32];
    uint8_t codes[32];
    memcpy(quants, block + 2, 32);
    for (int i = 0; i < 32; i++) quants[i] = (int8_t) (quants[i] == -128 ? -127 : quants[i]); /* which nobody writes */
    encode_scaled(levels, block, quants, low, codes, account);
    for (int k = 0; k < 16; k++) low[2 + k] = (uint8_t) (codes[k] | codes[k + 16] << 4);
}

/* The 6-bit scale and minimum of run `j`: as ggml packs them. */
static int scale_of(const uint8_t *packed, int j) {
    return j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
}

static int minimum_of(const uint8_t *packed, int j) {
    return j < 4 ? packed[j + 4] & 63 : packed[j + 4] >> 4 | packed[j] >> 6 << 4;
}

static void pack(const int *scales, const int *minima, uint8_t *packed) {
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t) (scales[j] | scales[j + 4] >> 4 << 6);
        packed[j + 4] = (uint8_t) (minima[j] | minima[j + 4] >> 4 << 6);
        packed[j + 8] = (uint8_t) ((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
    }
}

/* A run of Q4_K, `d * scale * quant - dmin * minimum`: the best scale and minimum of 6 bits, and codes. */
static void encode_run(const Levels *levels, const int8_t *quants, float d, float dmin, int *scale, int *minimum,
                       uint8_t *codes, Account *account) {
    float a = d * (float) *scale, least = dmin * (float) *minimum / a; /* in quants */
    Fit fit = {1, 0};
    if (a != 0 && isfinite(a) && isfinite(least)) {
        float before = (float) *scale, step = dmin / a, first = (float) *minimum;
            fit = fit_both(levels, quants, 32);
        for (int turn = 0; turn < 2; turn++) { /* each is rounded, and the other follows */
            *scale = clamped(before * fit.ratio, 1, 63);
            fit.ratio = (float) *scale / before;
            Sums sums = nearest(levels, quants, 32, fit.ratio, fit.offset, NULL);
            fit.offset = (total(quants, 32).l - fit.ratio * sums.l) / 32;
            if (step != 0) *minimum = clamped(first - fit.offset / step, 0, 63);
            fit.offset = (first - (float) *minimum) * step;
            sums = nearest(levels, quants, 32, fit.ratio, fit.offset, NULL);
            if (!turn && sums.ql - fit.offset * sums.l > 0) fit.ratio = (sums.ql - fit.offset * sums.l) / sums.ll;
        }
    }
    settle(levels, quants, 32, fit, a, isfinite(least) ? least : 0, codes, account);
}

static void encode_q4_k(const Levels *levels, const uint8_t *block, uint8_t *low, Account *account) {
    float d = from_half(block), dmin = from_half(block + 2);
    int scales[8], minima[8];
    memcpy(low, block, 4);
    for (int pair = 0; pair < 4; pair++) {
        uint8_t codes[2][32], *out = low + 16 + 16 * pair;
        for (int side = 0; side < 2; side++) {
            int j = 2 * pair + side;
            int8_t quants[32];
            for (int i = 0; i < 32; i++) quants[i] = (int8_t) (block[16 + 32 * pair + i] >> 4 * side & 15);
            scales[j] = scale_of(block + 4, j), minima[j] = minimum_of(block + 4, j);
            encode_run(levels, quants, d, dmin, &scales[j], &minima[j], codes[side], account);
        }
        for (int k = 0; k < 16; k++)
            out[k] = (uint8_t) (codes[0][k] | codes[1][k] << 2 | codes[0][k + 16] << 4 | codes[1][k + 16] << 6);
    }
    pack(scales, minima, low + 4);
}

static void encode_q6_k(const Levels *levels, const uint8_t *block, uint8_t *low, Account *account) {
    float d = from_half(block + 208);
    memcpy(low + 112, block + 208, 2);
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = block + 64 * half, *qh = block + 128 + 32 * half;
        uint8_t codes[128], *out = low + 48 * half;
        for (int run = 0; run < 8; run++) {
            int8_t quants[16];
            for (int i = 0; i < 16; i++) {
                int l = 16 * (run % 2) + i, part = run / 2;
                int bottom = ql[l + 32 * (part % 2)] >> 4 * (part / 2) & 15, top = qh[l] >> 2 * part & 3;
                quants[i] = (int8_t) ((bottom | top << 4) - 32);
            }
            int at = 192 + 8 * half + run, scale = (int8_t) block[at], chosen = scale;
            float ratio = fit_ratio(levels, quants, 16);
            if (scale) {
                chosen = clamped((float) scale * ratio, -128, 127);
                ratio = (float) chosen / (float) scale;
            }
            low[96 + 8 * half + run] = (uint8_t) chosen;
            settle(levels, quants, 16, (Fit){ratio, 0}, d * (float) scale, 0, codes + 16 * run, account);
        }
        for (int l = 0; l < 32; l++)
            out[l] = (uint8_t) (codes[l] | codes[64 + l] << 3 | codes[32 + l] << 6);
        for (int l = 0; l < 16; l++)
            out[32 + l] = (uint8_t) (codes[32 + l] >> 2 | codes[96 + l] << 1 |
                                     (codes[48 + l] >> 2 | codes[112 + l] << 1) << 4);
    }
}

/* `count` blocks become low blocks with these ascending levels: in quants less 8 (Q4_0) or 32 (Q6_K). What that cost is
 * added to the account. */
EXPORT void accel_low_encode(int32_t format, const int8_t *levels, const uint8_t *blocks, uint8_t *low, int64_t count,
                             Account *account) {
    static const struct { int count, most, block, low; } about[] = {
        [PLANE_Q4_0] = {4, 8, 18, 10}, [PLANE_Q8_0] = {16, 127, 34, 18},
        [PLANE_Q4_K] = {4, 15, 144, 80}, [PLANE_Q6_K] = {8, 32, 210, 114},
    };
    if (format < PLANE_Q4_0 || format > PLANE_Q6_K) return;
    Levels these = {.count = about[format].count};
    float widest = 1;
    for (int j = 0; j < these.count; j++) {
        these.level[j] = levels[j];
        if (j) these.step[j - 1] = (uint8_t) (levels[j] - levels[j - 1]);
        if (j) these.middle[j - 1] = (levels[j] + levels[j - 1]) / 2.0f;
        widest = fmaxf(widest, fabsf((float) levels[j]));
    }
    if (format == PLANE_Q4_K) widest = (float) (levels[3] - levels[0]);
    these.full = (float) about[format].most / widest;
    for (; count > 0; count--, blocks += about[format].block, low += about[format].low) {
        if (format == PLANE_Q4_0) encode_q4_0(&these, blocks, low, account);
        if (format == PLANE_Q8_0) encode_q8_0(&these, blocks, low, account);
        if (format == PLANE_Q4_K) encode_q4_k(&these, blocks, low, account);
        if (format == PLANE_Q6_K) encode_q6_k(&these, blocks, low, account);
    }
}
